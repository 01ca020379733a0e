"""What this process may still have: of the machine's memory, of its control groups', and of its own limits.

A kernel that is asked for more memory than there is, or than a control group may have, kills somebody before
it says no. So it is looked at beforehand.
"""

from __future__ import annotations

import errno
import resource
import sys
from collections.abc import Iterator
from typing import NamedTuple

# What is left to all others, of a bound of any size.
_LEAVE_MAX = 256 << 20
_LEAVE_SHARE = 16

# The limit of a process that an error may come from.
_LIMITS = {errno.EMFILE: "RLIMIT_NOFILE", errno.EFBIG: "RLIMIT_FSIZE", errno.ENOMEM: "RLIMIT_AS"}


class _Version(NamedTuple):
    """The files of a control group with a memory controller."""

    limit: str
    usage: str
    cached: tuple[str, str]
    """lines of memory.stat: page cache that the kernel takes back when it needs it"""


_VERSIONS = {
    "cgroup": _Version(
        "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")
    ),
    "cgroup2": _Version("memory.max", "memory.current", ("active_file", "inactive_file")),
}


def check(size: int, what: str, root: str = "") -> None:
    """Raises MemoryError if `what`, of `size` bytes, is more than this process can have without harm.

    `root` is where /proc and /sys are.
    """
    meminfo = _numbers(f"{root}/proc/meminfo")
    if "MemAvailable:" in meminfo:
        total, available = (meminfo[key] << 10 for key in ("MemTotal:", "MemAvailable:"))
        if size > available - _to_leave(total):
            raise MemoryError(
                f"no host memory for {what}: of the machine's {total} bytes {available} are left"
            )
    for version, top, path in _groups(root):
        folder = top + path
        limit = _read(f"{folder}/{version.limit}").strip()
        if not limit.isdecimal():
            continue
        left = int(limit) - int(_read(f"{folder}/{version.usage}") or 0)
        enough = size + _to_leave(int(limit))
        if left < enough:
            stat = _numbers(f"{folder}/memory.stat")
            left += sum(stat.get(key, 0) for key in version.cached)
        if left < enough:
            raise MemoryError(
                f"no host memory for {what}: {version.limit} = {limit} of control group {path or '/'} "
                f"leaves {max(left, 0)} bytes"
            )


def file_size_max() -> int:
    """Bytes that a file of this process may have. A memfd is a file as well."""
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def explain(error: OSError) -> str:
    """The system's words for an error, with the limit of this process that it may come from."""
    words = error.strerror or str(error)
    name = _LIMITS.get(error.errno or 0)
    if name is None:
        return words
    soft, _ = resource.getrlimit(getattr(resource, name))
    return words if soft == resource.RLIM_INFINITY else f"{words}, {name} is {soft}"


def _to_leave(limit: int) -> int:
    return min(_LEAVE_MAX, limit // _LEAVE_SHARE)


def _groups(root: str) -> Iterator[tuple[_Version, str, str]]:
    """Every control group that may limit this process's memory, its own first: as its version, where its
    hierarchy is mounted, and its path from there."""
    own: dict[str, str] = {}
    for line in _read(f"{root}/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            own["cgroup2"] = path
        elif "memory" in controllers.split(","):
            own["cgroup"] = path
    for line in _read(f"{root}/proc/self/mountinfo").splitlines():
        mount, _, file_system = line.partition(" - ")
        kind, _, options = file_system.split(" ", 2)
        if kind not in own or (kind == "cgroup" and "memory" not in options.split(",")):
            continue
        top, place = mount.split(" ")[3:5]
        # In a container the mount may show a part of the hierarchy, and this process in it.
        top = top.rstrip("/")
        if not f"{own[kind]}/".startswith(f"{top}/"):
            continue
        path = own.pop(kind)[len(top) :].rstrip("/")
        yield _VERSIONS[kind], root + place, path
        while path:
            path = path.rpartition("/")[0]
            yield _VERSIONS[kind], root + place, path


def _numbers(path: str) -> dict[str, int]:
    """A file with a name and a number in each line."""
    words = (line.split() for line in _read(path).splitlines())
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdecimal()}


def _read(path: str) -> str:
    """What the file has; nothing if it is not there, as in a group without limits."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
