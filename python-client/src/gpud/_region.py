"""Shared memory that gpud's devices read and write by themselves.

A region is a memfd, sealed so that it cannot shrink under gpud, mapped here and registered there. What it may
not have is refused before it has a page.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import mmap
import operator
import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, SupportsIndex

from gpud import _buffers, _headroom
from gpud._connection import Connection
from gpud._schema import (
    ConnectionLostError,
    InvalidArgumentError,
    Limits,
    ResourceExhaustedError,
    ShmRegisterResult,
)
from gpud._threads import Threads

# Takes some milliseconds to unmap, about as long as to start a thread.
_DIRECT_MAX = 16 << 20


class Regions:
    """Makes the regions of one connection, and knows how much of gpud's limits they take."""

    def __init__(self, connection: Connection, threads: Threads, limits: Limits) -> None:
        self.connection = connection
        self._threads = threads
        self._limits = limits
        self._n = 0
        self._bytes = 0

    @property
    def size_max(self) -> int:
        """Bytes that the largest region could have, in whole pages."""
        size = min(self._limits.shm_max or sys.maxsize, _headroom.file_size_max())
        return size // mmap.PAGESIZE * mmap.PAGESIZE

    async def make(self, size: SupportsIndex) -> Region:
        """Makes and registers a region. Cancelled, it leaves none behind."""
        size = operator.index(size)
        if size < 1:
            raise InvalidArgumentError(f"size {size} of a region is less than 1 byte")
        self.connection.check_usable()
        task = asyncio.ensure_future(self._make(size))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_abandon_late)
            raise

    async def _make(self, size: int) -> Region:
        # Whole pages, since only those can be imported.
        mapped = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self._take(mapped)
        try:
            return await self._register(size, mapped)
        except BaseException:
            self.give_back(mapped)
            raise

    async def _register(self, size: int, mapped: int) -> Region:
        fd, mapping = _map(size, mapped)
        try:
            # A gigabyte takes a third of a second.
            await self._threads.run(_buffers.populate, _buffers.address_of(mapping), mapped)
            wire = await self.connection.call("shm.register", {"size": mapped}, (fd,))
        except BaseException:
            # Now, not when nobody refers to the exception any more.
            mapping.give_back()
            raise
        finally:
            os.close(fd)
        return Region(self, mapping, size, ShmRegisterResult.from_wire(wire))

    def _take(self, size: int) -> None:
        """Counts one region more, or refuses it as gpud would."""
        shms_max, shm_max = self._limits.shms_max, self._limits.shm_max
        if self._n >= shms_max:
            raise ResourceExhaustedError(f"the session has {self._n} regions, limit shms_max = {shms_max}")
        # Before protocol 3 gpud did not tell it, which is 0 then.
        if shm_max and size > shm_max - self._bytes:
            raise ResourceExhaustedError(
                f"size {size} and the session's {self._bytes} bytes of regions exceed shm_max = {shm_max}"
            )
        self._n += 1
        self._bytes += size

    def give_back(self, size: int) -> None:
        """One of `size` bytes is gone."""
        self._n -= 1
        self._bytes -= size


class _Mapping(mmap.mmap):
    """Memory that is unmapped on a thread when nobody refers to it any more: that takes 0.2 s per GiB, and
    mmap.close() has the interpreter's lock meanwhile."""

    def give_back(self) -> None:
        """Unmaps it. Nobody may be using it."""
        if len(self) > _DIRECT_MAX:
            # Without a thread it takes its time here.
            with contextlib.suppress(RuntimeError, MemoryError):
                threading.Thread(target=_unmap, args=(self,), name="gpud-unmap", daemon=True).start()
                return
        _unmap(self)

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # At the end of the interpreter no thread starts, and to wait for one would never end.
        if not self.closed and not is_finalizing():
            self.give_back()


def _unmap(mapping: _Mapping) -> None:
    _buffers.drop_pages(_buffers.address_of(mapping), len(mapping))
    # Somebody refers to a part of it still, garbage or an exception; then it goes with that.
    with contextlib.suppress(BufferError):
        mapping.close()


def _map(size: int, mapped: int) -> tuple[int, _Mapping]:
    """A sealed memfd without pages yet, for a region of `size` bytes, and its mapping."""
    file_size_max = _headroom.file_size_max()
    if mapped > file_size_max:
        raise MemoryError(f"no host memory for a region of {size} bytes: RLIMIT_FSIZE is {file_size_max}")
    try:
        fd = os.memfd_create("gpud-region", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        raise _refused(size, error) from None
    try:
        os.ftruncate(fd, mapped)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return fd, _Mapping(fd, mapped)
    except OverflowError as error:
        os.close(fd)
        raise MemoryError(f"no host memory for a region of {size} bytes: {error}") from None
    except OSError as error:
        os.close(fd)
        raise _refused(size, error) from None


def _refused(size: int, error: OSError) -> Exception:
    why = _headroom.explain(error)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return OSError(error.errno, f"no descriptor for a region of {size} bytes: {why}")
    return MemoryError(f"no host memory for a region of {size} bytes: {why}")


class Region:
    """A registered region. Fill `view` and copy from it: no byte is copied by the CPU.

    The memory is the owner's to use as he likes, except while a copy through it runs.
    """

    def __init__(self, regions: Regions, mapping: _Mapping, size: int, reply: ShmRegisterResult) -> None:
        self._regions = regions
        self._connection = regions.connection
        self._mapping = mapping
        self._mapped = len(mapping)
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

    def _unmap(self) -> None:
        """Gives the memory back now instead of with the last reference. Nobody may be using it."""
        self.view.release()
        self._mapping.give_back()

    def _range(self, offset: SupportsIndex, size: SupportsIndex | None) -> tuple[int, int]:
        """A range of it as plain numbers. gpud could not refuse one: it knows whole pages, of which the
        region may be a part."""
        return _buffers.plain_range(offset, size, self.size, of="region", name="region_offset")

    async def release(self) -> None:
        """Ends the registration, after the copies that run. What the memory holds stays readable here."""
        if self._is_released:
            return
        self._end()
        await self._connection.call("shm.release", {"shm": self.shm})

    def _abandon(self) -> None:
        """Ends the registration some time soon, without waiting for the reply."""
        if self._is_released or not self._connection.is_open:
            return
        self._end()
        reply = self._connection.submit("shm.release", {"shm": self.shm})
        reply.add_done_callback(_ignore)

    def _end(self) -> None:
        """What is asked of gpud from now on, it does after the release."""
        self._is_released = True
        self._regions.give_back(self._mapped)

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
