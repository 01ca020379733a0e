"""A file that takes the place of another when all its bytes are on the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import SupportsIndex

from gpud._files import File, FileLike, named
from gpud._stream import Stream

# Of the 255 bytes that a name may have, what is left by the dot in front and the ending.
BASE_MAX = 255 - len(".") - len(".gpud-") - 6


class Replacement(File):
    """A regular file `.NAME.gpud-XXXXXX` beside the file NAME, whose place it takes in finish(). Until then,
    and if that never comes, what has the name is as it was."""

    def __init__(self, name: str | bytes, old: os.stat_result | None, size: int) -> None:
        """`old` is the other file, if there is one. Nothing is made before the first bytes come."""
        super().__init__(-1, name, 0, size=size)
        # Where a symbolic link leads to, rather than the link.
        self._path = os.path.realpath(os.fsencode(name))
        self._old = old
        self._temporary: bytes | None = None

    def finish(self) -> None:
        """Puts it in its place. An error leaves the other there."""
        try:
            assert self._temporary
            with self._named():
                os.fsync(self._fd)
                self._close()
                os.replace(self._temporary, self._path)
        except BaseException:
            self.abandon()
            raise
        with self._named():
            _sync_folder(os.path.dirname(self._path))

    def abandon(self) -> None:
        """Removes it."""
        super().abandon()
        if self._temporary:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)

    def _begin(self) -> None:
        self._make()
        if self._old:
            with contextlib.suppress(PermissionError):
                os.fchown(self._fd, self._old.st_uid, self._old.st_gid)
            os.fchmod(self._fd, stat.S_IMODE(self._old.st_mode))
        super()._begin()

    def _make(self) -> None:
        folder, base = os.path.split(self._path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        while self._fd < 0:
            ending = secrets.token_hex(3).encode()
            temporary = os.path.join(folder, b".%b.gpud-%b" % (base[:BASE_MAX], ending))
            try:
                self._fd = os.open(temporary, flags, 0o600 if self._old else 0o666)
                self._temporary = temporary
            except FileExistsError:
                continue
            except PermissionError as error:
                error.add_note(
                    f"hint: a file is made in {os.fsdecode(folder)} first, where you may not make one; with "
                    "file_offset=0 it is overwritten where it is"
                )
                raise


def open_target(file: FileLike, offset: SupportsIndex | None, size: int) -> File:
    """What `size` bytes are to be written to: a path without an offset is a file to be replaced, if it is a
    regular one or none yet; everything else is written where it is, what has no offsets as a Stream."""
    if offset is not None or not isinstance(file, str | bytes | os.PathLike):
        return File.for_writing(file, offset or 0, size)
    name: str | bytes = os.fspath(file)
    with named(name):
        old = _open_old(os.fsencode(name))
        if old is None:
            return Replacement(name, None, size)
        status = os.fstat(old)
        if stat.S_ISREG(status.st_mode):
            os.close(old)
            return Replacement(name, status, size)
    if stat.S_ISBLK(status.st_mode):
        return File(old, name, 0, size=size)
    return Stream(old, name, 0)


def _open_old(name: bytes) -> int | None:
    """Opened, since who may not write to a file may not replace it either. None if there is no such file."""
    try:
        # A FIFO that nobody has at its other end would block.
        return os.open(name, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if os.path.basename(name) == b"":
            raise
        return None


def _sync_folder(folder: bytes) -> None:
    """Has the new name outlive a power failure, where the file system and the folder's mode let us."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(fd)
