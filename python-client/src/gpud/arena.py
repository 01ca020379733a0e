"""Bulk bytes between any buffer and device memory, through a few registered regions.

A copy is cut into chunks. Each chunk is copied between buffer and region by a thread, and between region and
device by gpud; several chunks are on their way at once, so that threads, DMA and event loop overlap.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from typing import Any

from gpud import memory
from gpud._schema import ConnectionLostError
from gpud.connection import Connection
from gpud.errors import Error
from gpud.region import Region
from gpud.settle import settled

# A thread copies this in a third of a millisecond, which hides the turns of the loop in between, and a few of
# them stay in the processor's cache. Half and twice as much were slower.
SLOT_SIZE = 4 << 20
# Copied on the loop's own thread: waking another one takes as long.
DIRECT_MAX = 256 << 10
# One thread copies 11 GB/s, and eight fill a PCIe 5 link; each core more than half is the caller's.
COPY_THREADS = max(1, min(8, len(os.sched_getaffinity(0)) // 2))
# One being copied by each thread, as many with gpud.
SLOTS_MAX = max(4, 2 * COPY_THREADS)


class Arena:
    """The regions ("slots") of one connection. Made when they are first needed, kept until it ends."""

    def __init__(
        self,
        connection: Connection,
        threads: Executor,
        slot_size: int = SLOT_SIZE,
        slots_max: int = SLOTS_MAX,
    ) -> None:
        self._connection = connection
        self._threads = threads
        self._slot_size = slot_size
        self._slots_max = slots_max
        self._n_slots = 0
        self._free: list[Region] = []
        self._takers: deque[asyncio.Future[Region]] = deque()
        self._growing: set[asyncio.Task[None]] = set()

    async def write(self, mem: str, offset: int, source: memory.Pinned) -> None:
        """Copies all of `source` into an allocation. The caller has checked that it fits."""

        async def chunk(start: int, size: int) -> None:
            slot = await self._take()
            reply = None
            try:
                await self._copy(slot.address, source.address + start, size)
                args = {"mem": mem, "offset": offset + start, "shm": slot.shm, "size": size}
                reply = self._connection.submit("mem.write", args)
                await asyncio.shield(reply)
            finally:
                self._give_after(reply, slot)

        await self._run(source.size, chunk)

    async def read(self, mem: str, offset: int, target: memory.Pinned) -> None:
        """Fills all of `target` from an allocation. When it has ended, even cancelled, `target` is let go."""

        async def chunk(start: int, size: int) -> None:
            slot = await self._take()
            reply = None
            try:
                args = {"mem": mem, "offset": offset + start, "shm": slot.shm, "size": size}
                reply = self._connection.submit("mem.read", args)
                await asyncio.shield(reply)
                await self._copy(target.address + start, slot.address, size)
            finally:
                self._give_after(reply, slot)

        await self._run(target.size, chunk)

    def close(self) -> None:
        """Lets go of the slots. The connection is closed, so gpud has as well."""
        self._free.clear()
        for task in self._growing:
            task.cancel()
        self._refuse(ConnectionLostError("the client was closed"))

    async def _run(self, size: int, chunk: Callable[[int, int], Awaitable[None]]) -> None:
        """Runs `chunk(start, size)` over all chunks, as many at once as there can be slots."""
        starts = iter(range(0, size, self._slot_size))

        async def lane(starts: Iterator[int]) -> None:
            for start in starts:
                await chunk(start, min(self._slot_size, size - start))

        if size <= self._slot_size:
            await lane(starts)
            return
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._slots_max, -(-size // self._slot_size))):
                    group.create_task(lane(starts))
        except BaseExceptionGroup as errors:
            # The lanes fail for one reason; the first is it.
            raise errors.exceptions[0] from None

    async def _copy(self, target: int, source: int, size: int) -> None:
        if size <= DIRECT_MAX:
            memory.copy(target, source, size)
            return
        loop = asyncio.get_running_loop()
        await settled(loop.run_in_executor(self._threads, memory.copy, target, source, size))

    async def _take(self) -> Region:
        """A slot that nobody uses; waits for one in turn."""
        if self._free:
            return self._free.pop()
        if self._n_slots < self._slots_max:
            # In a task of its own: the one who waits may be cancelled, the slot is of use to all.
            self._n_slots += 1
            task = asyncio.get_running_loop().create_task(self._grow())
            self._growing.add(task)
            task.add_done_callback(self._growing.discard)
        taker = asyncio.get_running_loop().create_future()
        self._takers.append(taker)
        try:
            slot: Region = await taker
        except asyncio.CancelledError:
            if taker.done() and not taker.cancelled() and taker.exception() is None:
                self._give(taker.result())
            raise
        return slot

    async def _grow(self) -> None:
        try:
            slot = await Region.create(self._connection, self._threads, self._slot_size)
        except (Error, OSError, MemoryError) as error:
            self._n_slots -= 1
            if self._n_slots == 0:
                self._refuse(error)
            else:
                # Those there are will have to do.
                self._slots_max = self._n_slots
            return
        self._give(slot)

    def _refuse(self, error: BaseException) -> None:
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_exception(error)

    def _give(self, slot: Region) -> None:
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(slot)
                return
        self._free.append(slot)

    def _give_after(self, reply: asyncio.Future[Any] | None, slot: Region) -> None:
        """Gives a slot back when gpud has let go of it, which the reply says; until then it may use it."""
        if reply is None or reply.done():
            self._give(slot)
        else:
            reply.add_done_callback(lambda _: self._give(slot))
