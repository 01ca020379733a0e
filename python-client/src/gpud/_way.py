"""The way to gpud's socket, and what is told where it is barred."""

from __future__ import annotations

import grp
import os
import stat

from gpud._errors import Error
from gpud._schema import SOCKET_DEFAULT, ConnectionLostError, InvalidArgumentError, PermissionDeniedError


def socket_path(path: str | os.PathLike[str] | None) -> str:
    """The path given, else that of the environment, else the usual one."""
    if path is None:
        return os.environ.get("GPUD_SOCKET") or SOCKET_DEFAULT
    found = os.fspath(path)
    if not found:
        raise InvalidArgumentError(
            "the socket's path is empty", hint="None stands for GPUD_SOCKET or the usual one"
        )
    return found


def barred(path: str, reason: OSError) -> Error:
    """What a connect() that failed for `reason` raises."""
    message = f"cannot connect to gpud at {path}: {reason.strerror or reason}"
    error: Error
    if isinstance(reason, PermissionError):
        error = PermissionDeniedError(message, hint=_who_may(path))
    else:
        error = ConnectionLostError(message)
    if reason.errno is not None:
        error.errno = reason.errno
    return error


def _who_may(path: str) -> str:
    """Who may write the socket's file may connect."""
    try:
        status = os.stat(path)
    except OSError:
        return "a directory on the way to the socket is closed to you"
    if not status.st_mode & stat.S_IWGRP:
        return f"it is open to its owner alone, uid {status.st_uid}"
    return f"you must be in the group {_group_name(status.st_gid)}"


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
