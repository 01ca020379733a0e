"""Waiting for what cannot be called back."""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def settled(future: asyncio.Future[T]) -> T:
    """The result of `future`. A cancellation is held back until the future has ended, however that was.

    For work that uses memory of the caller: when the await has ended, nobody touches that memory any more.
    """
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait((future,))
            except asyncio.CancelledError:
                continue
        if not future.cancelled():
            future.exception()
        raise
