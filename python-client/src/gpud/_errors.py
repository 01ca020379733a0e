"""What every error of gpud has in common. The kinds themselves come from the protocol."""

from __future__ import annotations

import errno

# Of those kinds of OSError that stand for one number. The first that fits counts.
_ERRNOS: tuple[tuple[type[OSError], int], ...] = (
    (PermissionError, errno.EACCES),
    (FileExistsError, errno.EEXIST),
    (BlockingIOError, errno.EAGAIN),
    (TimeoutError, errno.ETIMEDOUT),
    (ConnectionError, errno.ENOTCONN),
    (OSError, errno.EIO),
)


class Error(Exception):
    """A refusal by gpud, or the loss of it. Each kind is a class of its own and a built-in exception too."""

    code: int = 0
    """number on the wire"""
    name: str = "ERROR"
    """name in the protocol"""
    hint: str = ""
    """what can be done about it"""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if isinstance(self, OSError):
            _set_errno(self)
        if hint is not None:
            self.hint = hint
        if self.hint:
            self.add_note(f"hint: {self.hint}")


def _set_errno(error: OSError) -> None:
    error.errno = next(number for kind, number in _ERRNOS if isinstance(error, kind))
