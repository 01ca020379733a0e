"""Files that bytes are copied from and to. Everything but open_file() blocks, and is for threads."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import operator
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol, Self, SupportsIndex, TypeAlias

from gpud import _headroom
from gpud._schema import InvalidArgumentError, OutOfRangeError
from gpud._threads import Threads

_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_fallocate.restype = ctypes.c_int

# There is no room, or there may not be so much. Other errors: the file system cannot tell beforehand.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class HasFileno(Protocol):
    """An open file object."""

    def fileno(self) -> int: ...


FileLike: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes] | int | HasFileno
"""a path, a descriptor or an open file object"""
Name: TypeAlias = str | bytes | int
"""what the caller knows a file by"""


class File:
    """An open file with offsets: a regular file or a block device. Positions count from `start` in it.

    An OSError names the file. Owns its descriptor; that of the caller is another and stays open.
    """

    def __init__(self, fd: int, name: Name, start: int, *, size: int = 0) -> None:
        """Takes over `fd`. `size` bytes will be written, if any."""
        self._fd = fd
        self._name = name
        self._start = start
        self._size = size
        self._is_begun = False
        self._lock = threading.Lock()

    def checked(self) -> Self:
        """Itself, if there are places in it to read or write at; else it is closed."""
        try:
            if self._start < 0:
                raise OutOfRangeError(f"file_offset {self._start} is negative")
            with self._named():
                mode = os.fstat(self._fd).st_mode
                if stat.S_ISDIR(mode):
                    os.read(self._fd, 1)
            if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
                raise InvalidArgumentError(
                    f"{self} has no offsets: it is neither a regular file nor a block device",
                    hint="move what comes from a pipe or socket with Mem.write() or through a region",
                )
        except BaseException:
            self.abandon()
            raise
        return self

    @classmethod
    def for_reading(cls, file: FileLike, offset: SupportsIndex) -> File:
        """Opens it to be read from `offset` on."""
        start = operator.index(offset)
        fd, name = _open(file, os.O_RDONLY)
        return cls(fd, name, start).checked()

    @classmethod
    def for_writing(cls, file: FileLike, offset: SupportsIndex, size: int) -> File:
        """Opens or makes it, for `size` bytes to be written from `offset` on. What lies around them stays."""
        start = operator.index(offset)
        fd, name = _open(file, os.O_WRONLY | os.O_CREAT)
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND:
            os.close(fd)
            raise InvalidArgumentError(
                f"{_quoted(name)} is open for appending and cannot be written in any order"
            )
        return cls(fd, name, start, size=size).checked()

    def size(self) -> int:
        """Bytes from the start to the end of the file."""
        with self._named():
            status = os.fstat(self._fd)
            if stat.S_ISREG(status.st_mode):
                return max(status.st_size - self._start, 0)
            # A descriptor shares its place with the one that it was made of.
            place = os.lseek(self._fd, 0, os.SEEK_CUR)
            end = os.lseek(self._fd, 0, os.SEEK_END)
            os.lseek(self._fd, place, os.SEEK_SET)
            return max(end - self._start, 0)

    def take(self, size: SupportsIndex | None) -> int:
        """How many bytes `size` of it are: all if it is None. Refuses what lies behind the end."""
        has = self.size()
        if size is None:
            return has
        size = operator.index(size)
        if size < 0:
            raise OutOfRangeError(f"size {size} is negative")
        if size > has:
            raise self._too_short(has, size)
        return size

    def read_into(self, view: memoryview, position: int) -> None:
        """Fills `view` with what is at `position`."""
        n_done = 0
        while n_done < len(view):
            with self._named():
                n = os.preadv(self._fd, [view[n_done:]], self._start + position + n_done)
            if n == 0:
                raise self._too_short(self.size(), position + len(view))
            n_done += n

    def write_from(self, view: memoryview, position: int) -> None:
        """Writes all of `view` at `position`."""
        self.begin()
        n_done = 0
        while n_done < len(view):
            with self._named():
                n_done += os.pwritev(self._fd, [view[n_done:]], self._start + position + n_done)

    def finish(self) -> None:
        """Ends it, all went well. An error of a file system that writes late shows here."""
        with self._named():
            self._close()

    def abandon(self) -> None:
        """Ends it after something else went wrong, and that is what is told."""
        with contextlib.suppress(OSError):
            self._close()

    def begin(self) -> None:
        """Before the first bytes are written, finds room for all that will come."""
        if self._is_begun:
            return
        with self._lock, self._named():
            if self._is_begun:
                return
            self._begin()
            self._is_begun = True

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _begin(self) -> None:
        """Several threads write in any order: a file that grew with each of them would come in fragments,
        three times slower on ext4. And a full disk shows before the first byte is on its way."""
        self._check_limit()
        if self._size > 0 and _fallocate(self._fd, 0, self._start, self._size) != 0:
            error = ctypes.get_errno()
            if error in _NO_ROOM:
                raise OSError(error, os.strerror(error))

    def _check_limit(self) -> None:
        """What is written beyond ends the process with a signal, unless that is ignored."""
        end = self._start + self._size
        if end > _headroom.file_size_max() and stat.S_ISREG(os.fstat(self._fd).st_mode):
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    def _named(self) -> contextlib.AbstractContextManager[None]:
        return named(self._name)

    def _too_short(self, has: int, wanted: int) -> OutOfRangeError:
        behind = f" behind file_offset {self._start}" if self._start else ""
        return OutOfRangeError(
            f"{self} ends after {has} bytes{behind}, at least {wanted} were expected",
            hint="has somebody else changed the file?",
        )

    def __str__(self) -> str:
        return _quoted(self._name)


@contextlib.contextmanager
def named(name: Name) -> Iterator[None]:
    """An OSError from within names the file as the caller knows it, and a limit of the process."""
    try:
        yield
    except OSError as error:
        renamed = OSError(error.errno, _headroom.explain(error), name)
        for note in getattr(error, "__notes__", ()):
            renamed.add_note(note)
        raise renamed from None


def _quoted(name: Name) -> str:
    return f"file descriptor {name}" if isinstance(name, int) else repr(name)


def _open(file: FileLike, flags: int) -> tuple[int, Name]:
    """A descriptor of our own, and what to call it."""
    if isinstance(file, str | bytes | os.PathLike):
        name: Name = os.fspath(file)
        with named(name):
            # A FIFO that nobody has at its other end would block.
            return os.open(file, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o666), name
    if not isinstance(file, int) and not hasattr(file, "fileno"):
        raise TypeError(f"a file is a path, a descriptor or an open file, not {type(file).__name__}")
    fd = file if isinstance(file, int) else file.fileno()
    # The caller may close his own at any time, and its number may become another file's.
    with named(fd):
        return os.dup(fd), fd


@contextlib.asynccontextmanager
async def open_file(threads: Threads, make: Callable[[], File]) -> AsyncIterator[File]:
    """The file that `make` opens, until the end of the block."""
    opening = threads.start(make)
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        # A file system may take its time; nobody has to wait for it.
        opening.add_done_callback(_abandon_late)
        raise
    try:
        yield file
    except BaseException:
        await _end(threads, file.abandon)
        raise
    await _end(threads, file.finish)


async def _end(threads: Threads, work: Callable[[], None]) -> None:
    if threads.is_open:
        await threads.run(work)
    else:
        work()


def _abandon_late(opening: asyncio.Future[File]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abandon()
