"""An allocation of device memory, as an object."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gpud import _buffers
from gpud._files import File, FileLike, open_file
from gpud._region import Region
from gpud._schema import ConnectionLostError, MemInfo, OutOfRangeError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gpud._client import Client


class Mem:
    """A reference to an allocation, from Client.alloc() or Client.open(); as a context manager it is freed.

    Except for a persistent one of the caller's own, which only free() takes from the device: that is what
    persistent means. The reference to it ends with the session.

    Copies of any size are one call. All take their arguments in one order: the other side, the size where
    that does not say it, the offset in this allocation, and by name the offset in the other side.

    Up to `limits.inline_max` bytes travel in the message; more goes through regions of the client's, piece by
    piece, so that two overlapping copies at once may interleave. A copy that was cancelled may have written a
    part.
    """

    def __init__(self, client: Client, info: MemInfo) -> None:
        self._client = client
        self._is_freed = False
        self._info = info

    @property
    def handle(self) -> str:
        """UUID, the same in every process."""
        return self._info.mem

    @property
    def device(self) -> str:
        """Id of the device it lies on."""
        return self._info.device

    @property
    def size(self) -> int:
        """Bytes."""
        return self._info.size

    @property
    def name(self) -> str | None:
        """Its name, as last seen by this object."""
        return self._info.name

    @property
    def info(self) -> MemInfo:
        """All that gpud said of it when this object last changed or refreshed it."""
        return self._info

    async def refresh(self) -> MemInfo:
        """Asks gpud what the allocation is like now."""
        self._info = await self._client.mem_info(mem=self.handle)
        return self._info

    async def write(self, data: Buffer, offset: int = 0) -> None:
        """Writes all bytes of a buffer at `offset`; they are on the device when this returns.

        Args:
            data: any C-contiguous buffer of any shape and element type: bytes, memoryview, numpy array. Its
                memory is read until this returns, raises or is cancelled, and not after
            offset: first byte of the allocation to write

        Raises:
            OutOfRangeError: it does not fit; nothing is written
            InvalidArgumentError: the buffer is not contiguous
            SealedError, PermissionDeniedError: the allocation may not be written
        """
        view = _buffers.view_of(data)
        self._check_range(offset, view.nbytes)
        if view.nbytes <= self._client.limits.inline_max:
            await self._client.mem_write(mem=self.handle, offset=offset, data=view)
            return
        with _buffers.Pinned(view) as source:
            await self._client._arena.write(self.handle, offset, source)

    async def read(self, size: int | None = None, offset: int = 0) -> bytes:
        """Reads `size` bytes at `offset`; without a size, all that follow.

        Raises OutOfRangeError if the allocation has no such bytes, MemoryError if there is no room for them
        here. numpy.frombuffer() makes an array of the bytes without a copy; read_into() fills one that is
        there, and is faster, since it needs no fresh memory.
        """
        size = self._rest(offset) if size is None else size
        self._check_range(offset, size)
        if size <= self._client.limits.inline_max:
            return await self._read_inline(offset, size)
        data = _buffers.new_bytes(size)
        with _buffers.Pinned(data) as target:
            _buffers.prefer_huge_pages(target.address, size)
            await self._client._arena.read(self.handle, offset, target)
        return data

    async def read_into(self, buffer: Buffer, offset: int = 0) -> None:
        """Fills a writable buffer with the bytes at `offset`.

        Args:
            buffer: any C-contiguous writable buffer of any shape and element type; all its bytes are filled
            offset: first byte of the allocation to read

        Raises:
            OutOfRangeError: the buffer is larger than what follows; it is as it was
            InvalidArgumentError: the buffer is not contiguous or read-only

        When it has ended, cancelled or not, nobody writes to the buffer any more.
        """
        with _buffers.Pinned(buffer, writable=True) as target:
            self._check_range(offset, target.size)
            if target.size > self._client.limits.inline_max:
                await self._client._arena.read(self.handle, offset, target)
                return
            with _buffers.Pinned(await self._read_inline(offset, target.size)) as source:
                _buffers.copy(target.address, source.address, target.size)

    async def write_from(
        self, region: Region, size: int | None = None, offset: int = 0, *, region_offset: int = 0
    ) -> None:
        """Writes `size` bytes of a region at `region_offset` to `offset`, by DMA alone.

        Without a size, the rest of the region, all of it: what does not fit into the allocation is an
        OutOfRangeError, and nothing is written. A cancellation waits for the copy to end, since the region is
        the caller's own again then.
        """
        size = max(region.size - region_offset, 0) if size is None else size
        region._check_range(region_offset, size)
        await self._client._copy_region("mem.write", self.handle, offset, size, region, region_offset)

    async def read_to(
        self, region: Region, size: int | None = None, offset: int = 0, *, region_offset: int = 0
    ) -> None:
        """Reads `size` bytes at `offset` into a region at `region_offset`, by DMA alone.

        Without a size, the rest of the allocation, all of it: what does not fit into the region is an
        OutOfRangeError, and nothing is read. A cancellation waits for the copy to end, since the region is
        the caller's own again then.
        """
        size = self._rest(offset) if size is None else size
        region._check_range(region_offset, size)
        await self._client._copy_region("mem.read", self.handle, offset, size, region, region_offset)

    async def write_from_file(
        self, file: FileLike, size: int | None = None, offset: int = 0, *, file_offset: int = 0
    ) -> int:
        """Writes a file's bytes at `offset`. They go from the page cache to where the device reads them.

        Args:
            file: a path, a descriptor or an open file object; a regular file or a block device
            size: bytes; the rest of the file, all of it, when absent
            offset: first byte of the allocation to write
            file_offset: first byte of the file; where a descriptor stands does not matter and does not change

        Returns:
            the number of bytes written

        Raises:
            OSError: the file cannot be opened or read; FileNotFoundError and the others of its kind
            OutOfRangeError: the bytes do not fit into the allocation, and none is written; or the file is
                shorter than `size`, or became so meanwhile
            InvalidArgumentError: it is a pipe or socket

        When it fails or is cancelled, a part may have been written.
        """
        threads = self._client._arena.file_threads
        async with open_file(threads, lambda: File.for_reading(file, file_offset)) as source:
            size = await threads.run(source.take, size)
            self._check_range(offset, size)
            await self._client._arena.write_from_file(self.handle, offset, size, source)
        return size

    async def read_to_file(
        self, file: FileLike, size: int | None = None, offset: int = 0, *, file_offset: int | None = None
    ) -> int:
        """Writes `size` bytes at `offset` to a file; without a size, all that follow.

        Args:
            file: a path, a descriptor or an open file object; a regular file or a block device. A path
                without a `file_offset` is made anew, with mode 0666 less the umask, and what it had before
                goes when the first bytes come. Otherwise the bytes around the range stay.
            size: bytes; the rest of the allocation when absent
            offset: first byte of the allocation to read
            file_offset: first byte of the file to write; 0 when absent

        Returns:
            the number of bytes read

        Raises:
            OSError: the file cannot be opened or written; `errno` is ENOSPC when the disk is full
            OutOfRangeError: the allocation has no such bytes; the file is as it was
            InvalidArgumentError: it is a pipe or socket, or open for appending

        When it fails or is cancelled, the file keeps what was written, with zeros in between.
        """
        size = self._rest(offset) if size is None else size
        self._check_range(offset, size)
        threads = self._client._arena.file_threads
        async with open_file(threads, lambda: File.for_writing(file, file_offset, size)) as target:
            await self._client._arena.read_to_file(self.handle, offset, size, target)
            await threads.run(target.begin)
        return size

    async def copy_to(
        self, dst: Mem, size: int | None = None, offset: int = 0, *, dst_offset: int = 0
    ) -> None:
        """Copies `size` bytes at `offset` to `dst_offset` of `dst`, on the device or to another.

        Without a size, all that follows, which must fit: OutOfRangeError. `dst` may be this allocation, and
        overlap is like memmove.
        """
        await self._client.mem_copy(
            src=self.handle,
            dst=dst.handle,
            size=self._rest(offset) if size is None else size,
            src_offset=offset,
            dst_offset=dst_offset,
        )

    async def fill(self, pattern: Buffer = b"\0", size: int | None = None, offset: int = 0) -> None:
        """Repeats a pattern of 1, 2, 4, 8 or 16 bytes for `size` bytes, or to the end, from `offset` on.

        The pattern starts at `offset`, and its last repetition may be cut. OutOfRangeError beyond the end.
        """
        await self._client.mem_fill(mem=self.handle, offset=offset, size=size, pattern=pattern)

    async def meta(self, meta: Buffer | None = None) -> bytes:
        """The bytes kept with the allocation; with an argument, replaces them first."""
        return (await self._client.mem_meta(mem=self.handle, meta=meta)).meta

    async def rename(self, name: str | None) -> None:
        """Gives it another name, or none."""
        self._info = await self._client.mem_rename(mem=self.handle, name=name)

    async def chmod(self, mode: int) -> None:
        """Changes who else may use it."""
        self._info = await self._client.mem_chmod(mem=self.handle, mode=mode)

    async def persist(self) -> None:
        """Lets it outlive the sessions that hold it, until its owner frees it."""
        self._info = await self._client.mem_persist(mem=self.handle)

    async def renew(self, ttl_s: int) -> None:
        """Extends the lease of a persistent allocation to `ttl_s` seconds from now."""
        self._info = await self._client.mem_renew(mem=self.handle, ttl_s=ttl_s)

    async def seal(self) -> None:
        """Makes it read-only for ever."""
        self._info = await self._client.mem_seal(mem=self.handle)

    async def free(self) -> None:
        """Drops this session's reference and, where the caller is its owner, the persistent one.

        Copies in flight end first. With the last reference the bytes are gone: NotFoundError from then on.
        """
        await self._client.mem_free(mem=self.handle)
        self._is_freed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_freed:
            return
        # A session that has ended took its references with it.
        with contextlib.suppress(ConnectionLostError):
            await self._client.mem_close(mem=self.handle)
            self._is_freed = True

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name is not None else ""
        freed = ", freed" if self._is_freed else ""
        return f"<gpud.Mem {self.handle}{name}: {self.size} bytes on {self.device}{freed}>"

    def _rest(self, offset: int) -> int:
        """The bytes from `offset` to the end. An offset past it is for gpud to refuse."""
        return max(self.size - offset, 0)

    def _check_range(self, offset: int, size: int) -> None:
        """Refuses as gpud would, but before the first chunk of many is written."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise OutOfRangeError(f"offset {offset} + size {size} exceeds allocation size {self.size}")

    async def _read_inline(self, offset: int, size: int) -> bytes:
        data = (await self._client.mem_read(mem=self.handle, offset=offset, size=size)).data
        return data if data is not None else b""
