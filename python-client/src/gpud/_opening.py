"""Calls that can be awaited and can stand in `async with` as they are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T", bound=AbstractAsyncContextManager[Any])


class Opening(Coroutine[Any, Any, T]):
    """What gpud.connect(), Client.alloc(), open(), put_file() and region() return.

    Await it for the object, or use it in `async with`, which binds the object and ends as the object's own
    `async with` does: a client is closed, an allocation freed, a region released. It is a coroutine, so a
    task can be made of it; like any other it runs once, and Python warns of one that never ran.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._opened: T

    def __await__(self) -> Generator[Any, None, T]:
        return self._work.__await__()

    async def __aenter__(self) -> T:
        self._opened = await self._work
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.__aexit__(kind, error, trace)

    def send(self, value: Any) -> Any:
        """For who drives coroutines; see Python's `coroutine.send`."""
        return self._work.send(value)

    def throw(self, *error: Any) -> Any:
        """For who drives coroutines; see Python's `coroutine.throw`."""
        return self._work.throw(*error)

    def close(self) -> None:
        """For who drives coroutines; see Python's `coroutine.close`."""
        self._work.close()


def opening(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Opening[T]]:
    """Makes a coroutine function return an Opening. Its result is what `async with` binds and ends."""

    @functools.wraps(function)
    def open_by(*args: P.args, **kwargs: P.kwargs) -> Opening[T]:
        return Opening(function(*args, **kwargs))

    return open_by
