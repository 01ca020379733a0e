"""An allocation of device memory, as an object."""

from __future__ import annotations

import asyncio
import contextlib
import operator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, SupportsIndex

from gpud import _buffers
from gpud._files import File, FileLike, open_file
from gpud._region import Region
from gpud._replacement import open_target
from gpud._schema import ConnectionLostError, Lifetime, MemInfo, NotFoundError
from gpud._stream import Stream

# What is not for any order goes in pieces of this size.
STREAM_PIECE = 4 << 20

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gpud._client import Client


class Mem:
    """A reference to an allocation, from Client.alloc() or Client.open(), counted like a file descriptor.

    close() gives it back, as the end of an `async with` does, and the allocation goes with the last reference
    to it; a persistent one has a reference of its own, which only free() takes. Two objects of one allocation
    are two references. All that a client holds ends with its session.

    Copies of any size are one call. All take their arguments in one order: the other side, the size where
    that does not say it, the offset in this allocation, and by name the offset in the other side.

    Up to `limits.inline_max` bytes travel in the message; more goes through regions of the client's, piece by
    piece, so that two overlapping copies at once may interleave. A copy that was cancelled may have written a
    part.
    """

    def __init__(self, client: Client, info: MemInfo) -> None:
        self._client = client
        self._info = info
        self._ended: Literal["closed", "freed"] | None = None

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
        self._info = await self._client.mem_info(mem=self._held())
        return self._info

    async def write(self, data: Buffer, offset: SupportsIndex = 0) -> None:
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
        offset, _ = self._range(offset, view.nbytes)
        if view.nbytes <= self._client.limits.inline_max:
            await self._client.mem_write(mem=self._held(), offset=offset, data=view)
            return
        with _buffers.Pinned(view) as source:
            await self._client._arena.write(self._held(), offset, source)

    async def read(self, size: SupportsIndex | None = None, offset: SupportsIndex = 0) -> bytes:
        """Reads `size` bytes at `offset`; without a size, all that follow.

        Raises OutOfRangeError if the allocation has no such bytes, MemoryError if there is no room for them
        here. numpy.frombuffer() makes an array of the bytes without a copy; read_into() fills one that is
        there, and is faster, since it needs no fresh memory.
        """
        offset, size = self._range(offset, size)
        if size <= self._client.limits.inline_max:
            return await self._read_inline(offset, size)
        return await self._client._arena.read_bytes(self._held(), offset, size)

    async def read_into(self, buffer: Buffer, offset: SupportsIndex = 0) -> None:
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
            offset, _ = self._range(offset, target.size)
            if target.size > self._client.limits.inline_max:
                await self._client._arena.read(self._held(), offset, target)
                return
            with _buffers.Pinned(await self._read_inline(offset, target.size)) as source:
                _buffers.copy(target.address, source.address, target.size)

    async def write_from(
        self,
        region: Region,
        size: SupportsIndex | None = None,
        offset: SupportsIndex = 0,
        *,
        region_offset: SupportsIndex = 0,
    ) -> None:
        """Writes `size` bytes of a region at `region_offset` to `offset`, by DMA alone.

        Without a size, the rest of the region, all of it: what does not fit into the allocation is an
        OutOfRangeError, and nothing is written. A cancellation waits for the copy to end, since the region is
        the caller's own again then.
        """
        region_offset, size = region._range(region_offset, size)
        offset, size = self._range(offset, size)
        await self._client._copy_region("mem.write", self._held(), offset, size, region, region_offset)

    async def read_to(
        self,
        region: Region,
        size: SupportsIndex | None = None,
        offset: SupportsIndex = 0,
        *,
        region_offset: SupportsIndex = 0,
    ) -> None:
        """Reads `size` bytes at `offset` into a region at `region_offset`, by DMA alone.

        Without a size, the rest of the allocation, all of it: what does not fit into the region is an
        OutOfRangeError, and nothing is read. A cancellation waits for the copy to end, since the region is
        the caller's own again then.
        """
        offset, size = self._range(offset, size)
        region_offset, size = region._range(region_offset, size)
        await self._client._copy_region("mem.read", self._held(), offset, size, region, region_offset)

    async def write_from_file(
        self,
        file: FileLike,
        size: SupportsIndex | None = None,
        offset: SupportsIndex = 0,
        *,
        file_offset: SupportsIndex = 0,
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
        mem = self._held()
        threads = self._client._arena.file_threads
        async with open_file(threads, lambda: File.for_reading(file, file_offset)) as source:
            offset, size = self._range(offset, await threads.run(source.take, size))
            await self._client._arena.write_from_file(mem, offset, size, source)
        return size

    async def read_to_file(
        self,
        file: FileLike,
        size: SupportsIndex | None = None,
        offset: SupportsIndex = 0,
        *,
        file_offset: SupportsIndex | None = None,
    ) -> int:
        """Writes `size` bytes at `offset` to a file; without a size, all that follow.

        Args:
            file: a path, a descriptor or an open file object; a regular file or a block device. A path
                without a `file_offset` becomes a new file, which takes the place of what was there when all
                its bytes are on the disk. It has the mode of that, and the owner where permitted, or mode
                0666 less the umask. A path to a pipe or a device is written through. Otherwise the bytes
                around the range stay.
            size: bytes; the rest of the allocation when absent
            offset: first byte of the allocation to read
            file_offset: first byte of the file to write; 0 when absent

        Returns:
            the number of bytes read

        Raises:
            OSError: the file cannot be opened or written; `errno` is ENOSPC when the disk is full
            OutOfRangeError: the allocation has no such bytes; the file is as it was
            InvalidArgumentError: it is an open pipe or socket, or open for appending

        When it fails or is cancelled, a path alone still has what it had; a process that is killed may leave
        a file `.NAME.gpud-XXXXXX` beside it. Another file keeps what was written, with zeros in between.
        """
        mem = self._held()
        offset, size = self._range(offset, size)
        threads = self._client._arena.file_threads
        async with open_file(threads, lambda: open_target(file, file_offset, size)) as target:
            if isinstance(target, Stream):
                await self._read_to_stream(offset, size, target)
            else:
                await self._client._arena.read_to_file(mem, offset, size, target)
                await threads.run(target.begin)
        return size

    async def copy_to(
        self,
        dst: Mem,
        size: SupportsIndex | None = None,
        offset: SupportsIndex = 0,
        *,
        dst_offset: SupportsIndex = 0,
    ) -> None:
        """Copies `size` bytes at `offset` to `dst_offset` of `dst`, on the device or to another.

        Without a size, all that follows, which must fit: OutOfRangeError. `dst` may be this allocation, and
        overlap is like memmove.
        """
        offset, size = self._range(offset, size)
        await self._client.mem_copy(
            src=self._held(),
            dst=dst._held(),
            size=size,
            src_offset=offset,
            dst_offset=operator.index(dst_offset),
        )

    async def fill(
        self, pattern: Buffer = b"\0", size: SupportsIndex | None = None, offset: SupportsIndex = 0
    ) -> None:
        """Repeats a pattern of 1, 2, 4, 8 or 16 bytes for `size` bytes, or to the end, from `offset` on.

        The pattern starts at `offset`, and its last repetition may be cut. OutOfRangeError beyond the end.
        """
        offset, size = self._range(offset, size)
        await self._client.mem_fill(mem=self._held(), offset=offset, size=size, pattern=pattern)

    async def meta(self, meta: Buffer | None = None) -> bytes:
        """The bytes kept with the allocation; with an argument, replaces them first."""
        return (await self._client.mem_meta(mem=self._held(), meta=meta)).meta

    async def rename(self, name: str | None) -> None:
        """Gives it another name, or none."""
        self._info = await self._client.mem_rename(mem=self._held(), name=name)

    async def chmod(self, mode: int) -> None:
        """Changes who else may use it."""
        self._info = await self._client.mem_chmod(mem=self._held(), mode=mode)

    async def persist(self) -> None:
        """Lets it outlive the sessions that hold it, until its owner frees it."""
        self._info = await self._client.mem_persist(mem=self._held())

    async def renew(self, ttl_s: int) -> None:
        """Extends the lease of a persistent allocation to `ttl_s` seconds from now."""
        self._info = await self._client.mem_renew(mem=self._held(), ttl_s=ttl_s)

    async def seal(self) -> None:
        """Makes it read-only for ever."""
        self._info = await self._client.mem_seal(mem=self._held())

    async def publish(
        self,
        name: str | None = None,
        *,
        mode: int | None = None,
        lifetime: Lifetime | None = None,
        ttl_s: int | None = None,
        seal: bool | None = None,
        replace: bool | None = None,
    ) -> None:
        """Lets others have what has been written: all of this in one step, or nothing of it.

        Args:
            name: its name from now on; as it is when absent
            mode: permission bits like a file's; as they are when absent
            lifetime: persistent when absent; "session" leaves it as it is
            ttl_s: seconds until the lease ends, unless renewed
            seal: whether it is read-only from now on, for ever
            replace: whether to take the name over from an allocation of yours that has it, which is given up
                as by free(): who holds that one keeps it

        Raises:
            AlreadyExistsError: you have one of that name on the device, and `replace` is not given
            PermissionDeniedError: it is another user's
        """
        self._info = await self._client.mem_publish(
            mem=self._held(),
            name=name,
            mode=mode,
            lifetime=lifetime,
            ttl_s=ttl_s,
            seal=seal,
            replace=replace,
        )

    async def close(self) -> None:
        """Gives this reference back; what else keeps the allocation still does. Any number of times.

        Copies in flight end first. Cancelled or not, it is closed.
        """
        reply = self._close_soon()
        if reply is not None:
            # Where the session has ended or all was freed, this reference is gone as well.
            with contextlib.suppress(ConnectionLostError, NotFoundError):
                await asyncio.shield(reply)

    async def free(self, *, force: bool = False) -> None:
        """Gives the allocation up, which is for its owner and administrators; close() is for everybody.

        Nobody can open it any more, and its name is free at once. All references of this session go, and the
        persistent one; who else holds it reads on until he closes it, or with `force` loses it now. Copies in
        flight end first. Raises PermissionDeniedError if it is another user's.
        """
        await self._client.mem_free(mem=self._held(), force=force or None)
        self._ended = "freed"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name is not None else ""
        ended = f", {self._ended}" if self._ended else ""
        return f"<gpud.Mem {self.handle}{name}: {self.size} bytes on {self.device}{ended}>"

    def _held(self) -> str:
        """The handle, for what needs the reference."""
        self._client._check_usable()
        if self._ended:
            raise NotFoundError(
                f"this Mem was {self._ended}: {self.handle}",
                hint="what is still there can be opened anew with Client.open()",
            )
        return self.handle

    def _close_soon(self) -> asyncio.Future[Any] | None:
        """Gives the reference back and does not wait for the reply; None if there is none to wait for."""
        if self._ended:
            return None
        self._ended = "closed"
        return self._client._give_back(self.handle)

    def _range(self, offset: SupportsIndex, size: SupportsIndex | None) -> tuple[int, int]:
        """A range of it as plain numbers. Refused before the first chunk of many is written."""
        return _buffers.plain_range(offset, size, self.size, of="allocation")

    async def _read_to_stream(self, offset: int, size: int, target: Stream) -> None:
        threads = self._client._arena.file_threads
        for start in range(offset, offset + size, STREAM_PIECE):
            left = memoryview(await self.read(min(STREAM_PIECE, offset + size - start), start))
            while left:
                left = left[await threads.run(target.write_some, left) :]

    async def _read_inline(self, offset: int, size: int) -> bytes:
        data = (await self._client.mem_read(mem=self._held(), offset=offset, size=size)).data
        return data if data is not None else b""
