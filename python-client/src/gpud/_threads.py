"""Threads for what would hold up the event loop: copying, and files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from gpud._schema import ConnectionLostError
from gpud._settle import settled

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Threads:
    """A few threads, each started when first needed."""

    def __init__(self, n: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(n, thread_name_prefix=name)
        self._is_closed = False

    @property
    def is_open(self) -> bool:
        """False once closed."""
        return not self._is_closed

    def start(self, work: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Queues `work(*args)`; the future ends with it."""
        if self._is_closed:
            raise ConnectionLostError("the client was closed")
        return asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    async def run(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """The result of `work(*args)`. A cancellation takes effect when the work has ended."""
        return await settled(self.start(work, *args))

    def close(self) -> None:
        """What has been queued still runs; then the threads end."""
        self._is_closed = True
        self._pool.shutdown(wait=False)
