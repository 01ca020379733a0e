"""Shared memory that gpud's devices read and write by themselves.

A region is a memfd, sealed so that it cannot shrink under gpud, mapped here and registered there.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import mmap
import os
from types import TracebackType
from typing import Any, Self

from gpud import _buffers
from gpud._connection import Connection
from gpud._schema import ConnectionLostError, InvalidArgumentError, OutOfRangeError, ShmRegisterResult
from gpud._threads import Threads


class Region:
    """A registered region. Fill `view` and copy from it: no byte is copied by the CPU.

    The memory is the owner's to use as he likes, except while a copy through it runs.
    """

    def __init__(
        self, connection: Connection, mapping: mmap.mmap, size: int, reply: ShmRegisterResult
    ) -> None:
        self._connection = connection
        self._mapping = mapping
        self._is_released = False
        self.size = size
        """bytes"""
        self.shm = reply.shm
        """its handle"""
        self.imported = reply.imported
        """whether every device reads and writes it directly; else gpud copies in between"""
        self.view = memoryview(mapping)[:size]
        """the bytes; numpy.frombuffer(region.view, ...) makes an array of them"""
        self._address = _buffers.address_of(mapping)

    @classmethod
    async def _create(cls, connection: Connection, threads: Threads, size: int) -> Region:
        """Makes and registers a region. Cancelled, it leaves none behind."""
        if size < 1:
            raise InvalidArgumentError(f"size {size} of a region is less than 1 byte")
        task = asyncio.ensure_future(cls._register(connection, threads, size))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_abandon_late)
            raise

    @classmethod
    async def _register(cls, connection: Connection, threads: Threads, size: int) -> Region:
        # Whole pages, since only those can be imported.
        mapped = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        fd = os.memfd_create("gpud-region", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            try:
                os.ftruncate(fd, mapped)
                mapping = mmap.mmap(fd, mapped)
            except (OSError, OverflowError) as error:
                raise MemoryError(f"no host memory for a region of {size} bytes: {error}") from None
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            try:
                # A gigabyte takes a third of a second.
                await threads.run(_buffers.populate, _buffers.address_of(mapping), mapped)
                wire = await connection.call("shm.register", {"size": mapped}, (fd,))
            except BaseException:
                # Now, not when nobody refers to the exception any more.
                mapping.close()
                raise
        finally:
            os.close(fd)
        return cls(connection, mapping, size, ShmRegisterResult.from_wire(wire))

    def _unmap(self) -> None:
        """Gives the memory back now instead of with the last reference. Nobody may be using it."""
        self.view.release()
        # Somebody's exception still refers to a part of it; then it goes with that.
        with contextlib.suppress(BufferError):
            self._mapping.close()

    def _check_range(self, offset: int, size: int) -> None:
        """Refuses what lies outside. gpud cannot: it knows whole pages, of which the region may be a part."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise OutOfRangeError(f"region_offset {offset} + size {size} exceeds region size {self.size}")

    async def release(self) -> None:
        """Ends the registration, after the copies that run. What the memory holds stays readable here."""
        if self._is_released:
            return
        self._is_released = True
        await self._connection.call("shm.release", {"shm": self.shm})

    def _abandon(self) -> None:
        """Ends the registration some time soon, without waiting for the reply."""
        if self._is_released or not self._connection.is_open:
            return
        self._is_released = True
        reply = self._connection.submit("shm.release", {"shm": self.shm})
        reply.add_done_callback(_ignore)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A session that has ended took its registrations with it.
        with contextlib.suppress(ConnectionLostError):
            await self.release()

    def __repr__(self) -> str:
        return f"<gpud.Region {self.shm}: {self.size} bytes{', released' if self._is_released else ''}>"


def _abandon_late(task: asyncio.Future[Region]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result()._abandon()


def _ignore(reply: asyncio.Future[Any]) -> None:
    if not reply.cancelled():
        reply.exception()
