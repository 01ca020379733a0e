"""Work on threads, where there are any."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from peer import DEVICE
from test_arena import SIZE, store_with_small_slots, until

import gpud
from gpud._threads import Threads

pytestmark = pytest.mark.anyio


class Limit:
    """The system lets `left` more threads start, and then none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
        self.left = left
        self._start = threading.Thread.start
        monkeypatch.setattr(threading.Thread, "start", lambda thread: self.start(thread))

    def start(self, thread: threading.Thread) -> None:
        if self.left == 0:
            raise RuntimeError("can't start new thread")
        self.left -= 1
        self._start(thread)


def n_threads(name: str) -> int:
    return sum(thread.name.startswith(name) for thread in threading.enumerate())


async def test_threads_come_as_they_are_needed_and_end() -> None:
    threads = Threads(3, "some")
    gate = threading.Event()
    assert n_threads("some") == 0
    waiting = [threads.start(gate.wait) for _ in range(5)]
    assert n_threads("some") == 3
    gate.set()
    assert await asyncio.gather(*waiting) == [True] * 5
    last = threads.start(str, 7)
    threads.close()
    assert await last == "7"
    with pytest.raises(gpud.ConnectionLostError, match="closed"):
        threads.start(str, 8)
    await until(lambda: n_threads("some") == 0)


async def test_threads_that_nobody_closes_end_too() -> None:
    threads = Threads(2, "lost")
    await threads.run(str, 7)
    assert n_threads("lost") == 1
    del threads
    gc.collect()
    await until(lambda: n_threads("lost") == 0)


async def test_what_the_work_raises_arrives() -> None:
    threads = Threads(1, "one")
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 1, 0)
    assert await threads.run(str, 7) == "7"
    threads.close()


@pytest.mark.parametrize("n", [0, 1])
async def test_fewer_threads_make_a_copy_slower_only(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    limit = Limit(monkeypatch, n)
    async with asyncio.timeout(30), store_with_small_slots() as store:
        data = os.urandom(SIZE)
        mem = await store.client.alloc(DEVICE, SIZE)
        await mem.write(data)
        assert await mem.read() == data
        assert limit.left == 0
        # And a region is made.
        async with store.client.region(10):
            pass


async def test_no_thread_for_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    Limit(monkeypatch, 0)
    async with asyncio.timeout(30), store_with_small_slots() as store:
        data = os.urandom(SIZE)
        (tmp_path / "in").write_bytes(data)
        mem = await store.client.put_file(tmp_path / "in", DEVICE)
        await mem.read_to_file(tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == data


async def test_threads_come_back_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Limit(monkeypatch, 0)
    threads = Threads(2, "back")
    here = threading.current_thread()
    assert await threads.run(threading.current_thread) is here
    limit.left = 1
    assert await threads.run(threading.current_thread) is not here
    threads.close()


def in_another_loop(call: Callable[[], Any]) -> Any:
    """What `call()` comes to in a loop of another thread: its result, or the exception."""

    async def run() -> Any:
        async with asyncio.timeout(10):
            return await call()

    outcome: list[Any] = []

    def main() -> None:
        try:
            outcome.append(asyncio.run(run()))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    return outcome[0]


async def test_a_foreign_loop_is_told_and_harms_nothing() -> None:
    async with asyncio.timeout(30), store_with_small_slots() as store:
        data = os.urandom(SIZE)
        mem = await store.client.alloc(DEVICE, SIZE)
        calls: list[Callable[[], Any]] = [
            lambda: mem.write(data),
            lambda: mem.read(),
            lambda: mem.read_into(bytearray(SIZE)),
            lambda: store.client.region(SIZE),
        ]
        for _ in range(2):
            for call in calls:
                error = in_another_loop(call)
                assert isinstance(error, RuntimeError), error
                assert "belongs to another event loop" in str(error)
            await mem.write(data)
            assert await mem.read() == data
        assert len(store.shms) <= 4
