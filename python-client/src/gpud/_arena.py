"""Bulk bytes between device memory and any buffer or file, through a few registered regions.

A copy is cut into pieces. Each piece is moved between its place and a region ("slot") by a thread, and
between slot and device by gpud; several pieces are on their way at once, so that threads, DMA and event loop
overlap.
"""

from __future__ import annotations

import asyncio
import mmap
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from gpud import _buffers, _headroom
from gpud._connection import CLOSED
from gpud._files import File
from gpud._region import Region, Regions
from gpud._threads import Threads

_CPUS = len(os.sched_getaffinity(0))

# One thread copies 7 to 11 GB/s, and 4 into fresh memory, which the kernel clears first: fourteen keep up
# with a PCIe 5 link on the way there, and do what memory can on the way back. Some cores are the caller's.
COPY_THREADS = max(1, min(14, 7 * _CPUS // 8))
# A file that is not in the page cache wants several readers, whatever the number of cores.
FILE_THREADS = max(4, COPY_THREADS)
# The turns of the event loop for one piece take about 0.1 ms. One thread takes 0.4 ms for 4 MiB, which hides
# them and stays in the processor's cache; eight at once end one that often, so theirs are larger.
SLOT_SIZE = (4 if COPY_THREADS <= 2 else 8) << 20
# One being filled or emptied by each thread and a few with gpud: more would only leave the processor's cache.
SLOTS_MAX = COPY_THREADS + 4
# What is smaller is not cut, and larger pieces begin at a page of this size: threads that touch fresh memory
# for the first time each clear pages of their own.
PIECE_MIN = _buffers.HUGE_PAGE
# Copied on the loop's own thread: waking another one takes as long.
DIRECT_MAX = 256 << 10
# From this many bytes on it is looked whether there is so much memory: a thousandth of the time to fill it.
FRESH_MIN = 64 << 20

Move = Callable[[Region, int, int], None]
"""move(slot, start, size) fills or empties the slot's first `size` bytes; `start` counts in the copy"""


class Arena:
    """The slots of one connection. Made when they are first needed, kept until it ends."""

    def __init__(
        self,
        regions: Regions,
        threads: Threads,
        slot_size: int = SLOT_SIZE,
        slots_max: int = SLOTS_MAX,
    ) -> None:
        self._connection = regions.connection
        self._regions = regions
        self._threads = threads
        # Threads are started by the first file.
        self._file_threads = Threads(FILE_THREADS, "gpud-file")
        self._slot_size = max(min(slot_size, regions.size_max), mmap.PAGESIZE)
        self._slots_max = self._slots_wanted = slots_max
        self._n_slots = 0
        self._free: list[Region] = []
        self._takers: deque[asyncio.Future[Region]] = deque()
        self._growing: set[asyncio.Task[None]] = set()

    @property
    def file_threads(self) -> Threads:
        """What blocks on files runs there."""
        return self._file_threads

    async def write(self, mem: str, offset: int, source: _buffers.Pinned) -> None:
        """Copies all of `source` into an allocation. The caller has checked that it fits."""

        def fill(slot: Region, start: int, size: int) -> None:
            _buffers.copy(slot._address, source.address + start, size)

        await self._write(mem, offset, self._cut(source.size, source.address), self._mover(fill))

    async def read(self, mem: str, offset: int, target: _buffers.Pinned) -> None:
        """Fills all of `target` from an allocation. When it has ended, even cancelled, `target` is let go."""

        def empty(slot: Region, start: int, size: int) -> None:
            _buffers.stream(target.address + start, slot._address, size)

        await self._read(mem, offset, self._cut(target.size, target.address), self._mover(empty))

    async def read_bytes(self, mem: str, offset: int, size: int) -> bytes:
        """Reads into fresh memory, more than a few bytes of it."""
        if size >= FRESH_MIN:
            await self._threads.run(_headroom.check, size, f"{size} bytes")
        data = _buffers.new_bytes(size)
        with _buffers.Pinned(data) as target:
            _buffers.prefer_huge_pages(target.address, size)
            await self.read(mem, offset, target)
        return data

    async def write_from_file(self, mem: str, offset: int, size: int, source: File) -> None:
        """Copies the first `size` bytes of `source` into an allocation."""

        async def fill(slot: Region, start: int, size: int) -> None:
            await self._file_threads.run(source.read_into, slot.view[:size], start)

        await self._write(mem, offset, self._cut(size), fill)

    async def read_to_file(self, mem: str, offset: int, size: int, target: File) -> None:
        """Makes `size` bytes of an allocation the first of `target`."""

        async def empty(slot: Region, start: int, size: int) -> None:
            await self._file_threads.run(target.write_from, slot.view[:size], start)

        await self._read(mem, offset, self._cut(size), empty)

    async def close(self) -> None:
        """Lets go of the slots, when they are made of those being made. The connection is closed, so gpud has
        let go of them as well."""
        while self._free:
            self._free.pop()._unmap()
        self._refuse(CLOSED.error())
        self._file_threads.close()
        if self._growing:
            await asyncio.wait(self._growing)

    async def _write(
        self,
        mem: str,
        offset: int,
        pieces: list[tuple[int, int]],
        fill: Callable[[Region, int, int], Awaitable[None]],
    ) -> None:
        async def move(start: int, size: int) -> None:
            slot = await self._take()
            reply = None
            try:
                await fill(slot, start, size)
                args = {"mem": mem, "offset": offset + start, "shm": slot.shm, "size": size}
                reply = self._connection.submit("mem.write", args)
                await asyncio.shield(reply)
            finally:
                self._give_after(reply, slot)

        await self._run(pieces, move)

    async def _read(
        self,
        mem: str,
        offset: int,
        pieces: list[tuple[int, int]],
        empty: Callable[[Region, int, int], Awaitable[None]],
    ) -> None:
        async def move(start: int, size: int) -> None:
            slot = await self._take()
            reply = None
            try:
                args = {"mem": mem, "offset": offset + start, "shm": slot.shm, "size": size}
                reply = self._connection.submit("mem.read", args)
                await asyncio.shield(reply)
                await empty(slot, start, size)
            finally:
                self._give_after(reply, slot)

        await self._run(pieces, move)

    def _mover(self, move: Move) -> Callable[[Region, int, int], Awaitable[None]]:
        """`move` on a copying thread, or on this one where that is sooner done."""

        async def run(slot: Region, start: int, size: int) -> None:
            if size <= DIRECT_MAX:
                move(slot, start, size)
            else:
                await self._threads.run(move, slot, start, size)

        return run

    def _cut(self, size: int, address: int = 0) -> list[tuple[int, int]]:
        """The pieces of a copy as (start, size): none larger than a slot, and enough for all slots to be of
        use. Those of a buffer at `address` begin where its huge pages do."""
        piece = min(max(size // self._slots_max // PIECE_MIN, 1) * PIECE_MIN, self._slot_size)
        pieces = []
        start = 0
        while start < size:
            # To the 16th byte, since DMA to and from odd places may be slower.
            beyond = (address + start) % PIECE_MIN & ~15 if size > PIECE_MIN <= piece else 0
            pieces.append((start, min(piece - beyond, size - start)))
            start += piece - beyond
        return pieces

    async def _run(self, pieces: list[tuple[int, int]], move: Callable[[int, int], Awaitable[None]]) -> None:
        """Runs `move(start, size)` over all pieces, as many at once as there can be slots."""
        left = iter(pieces)

        async def lane(left: Iterator[tuple[int, int]]) -> None:
            for start, size in left:
                await move(start, size)

        if len(pieces) <= 1:
            await lane(left)
            return
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._slots_max, len(pieces))):
                    group.create_task(lane(left))
        except BaseExceptionGroup as errors:
            # The lanes fail for one reason; the first is it.
            raise errors.exceptions[0] from None

    async def _take(self) -> Region:
        """A slot that nobody uses; waits for one in turn."""
        self._connection.check_usable()
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
            slot = await self._regions.make(self._slot_size)
        except Exception as error:
            self._do_without(error)
        except BaseException as error:
            # Those who wait are not cancelled with this task: a copy must not end as if it were whole.
            self._do_without(RuntimeError(f"a region of the client's was not made: {error!r}"))
            raise
        else:
            self._give(slot)

    def _do_without(self, error: Exception) -> None:
        """Goes on with one slot less than hoped for."""
        self._n_slots -= 1
        if self._n_slots == 0:
            self._slots_max = self._slots_wanted
            self._refuse(error)
        else:
            # Those there are will have to do.
            self._slots_max = self._n_slots

    def _refuse(self, error: Exception) -> None:
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
        if self._connection.is_open:
            self._free.append(slot)
        else:
            slot._unmap()

    def _give_after(self, reply: asyncio.Future[Any] | None, slot: Region) -> None:
        """Gives a slot back when gpud has let go of it, which the reply says; until then it may use it."""
        if reply is None or reply.done():
            self._give(slot)
        else:
            reply.add_done_callback(lambda _: self._give(slot))
