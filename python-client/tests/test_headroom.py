"""What a process may still have, in recorded trees of /proc and /sys."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import pytest

import gpud
from gpud import _headroom

MIB = 1 << 20

MEMINFO = f"MemTotal:       {16 << 20} kB\nMemFree:  1 kB\nMemAvailable:   {8 << 20} kB\nHugePages_Total: 0\n"

# A machine with cgroup v2 alone.
V2_MOUNTS = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

# Both: the controllers are in v1, v2 has none.
HYBRID_MOUNTS = """\
23 1 254:0 / / rw - ext4 /dev/vda rw
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
48 44 0:32 / /chroot/sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
"""


class Tree:
    """A root with /proc and /sys, for a process in the group `own`."""

    def __init__(self, root: Path, own: str, mounts: str) -> None:
        self.root = root
        self.write("proc/meminfo", MEMINFO)
        self.write("proc/self/cgroup", own)
        self.write("proc/self/mountinfo", mounts)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def v2(self, path: str, limit: int | str, usage: int, cache: int = 0) -> None:
        folder = f"sys/fs/cgroup{path}"
        self.write(f"{folder}/memory.max", f"{limit}\n")
        self.write(f"{folder}/memory.current", f"{usage}\n")
        self.write(
            f"{folder}/memory.stat",
            f"anon 1\nfile {1 << 40}\ninactive_file {cache}\nactive_file 0\nshmem 77\n",
        )

    def v1(self, path: str, limit: int, usage: int, cache: int = 0) -> None:
        folder = f"sys/fs/cgroup/memory{path}"
        self.write(f"{folder}/memory.limit_in_bytes", f"{limit}\n")
        self.write(f"{folder}/memory.usage_in_bytes", f"{usage}\n")
        self.write(f"{folder}/memory.stat", f"inactive_file {1 << 40}\ntotal_active_file {cache}\n")

    def check(self, size: int) -> None:
        _headroom.check(size, "a thing", str(self.root))

    def refuses(self, size: int, why: str) -> None:
        with pytest.raises(MemoryError) as caught:
            self.check(size)
        assert str(caught.value) == f"no host memory for a thing: {why}"


def test_machine(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "", "")
    tree.check((8 << 30) - 256 * MIB)
    tree.refuses((8 << 30) - 256 * MIB + 1, f"of the machine's {16 << 30} bytes {8 << 30} are left")
    (tmp_path / "proc/meminfo").unlink()
    tree.check(1 << 60)


def test_v2_looks_at_every_ancestor(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "0::/a.slice/b.scope\n", V2_MOUNTS)
    tree.v2("/a.slice/b.scope", "max", 100 * MIB)
    tree.v2("/a.slice", 512 * MIB, 100 * MIB)
    tree.check(380 * MIB)
    tree.refuses(381 * MIB, f"memory.max = {512 * MIB} of control group /a.slice leaves {412 * MIB} bytes")
    tree.v2("/a.slice/b.scope", 200 * MIB, 150 * MIB)
    tree.refuses(
        51 * MIB, f"memory.max = {200 * MIB} of control group /a.slice/b.scope leaves {50 * MIB} bytes"
    )


def test_page_cache_is_no_usage(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "0::/a\n", V2_MOUNTS)
    tree.v2("/a", 512 * MIB, 511 * MIB, cache=400 * MIB)
    tree.check(300 * MIB)
    tree.refuses(400 * MIB, f"memory.max = {512 * MIB} of control group /a leaves {401 * MIB} bytes")


def test_v1_beside_v2(tmp_path: Path) -> None:
    own = "9:name=systemd:/\n4:cpu,cpuacct:/\n3:memory:/docker/a:b\n0::/system.slice\n"
    tree = Tree(tmp_path, own, HYBRID_MOUNTS)
    tree.write("sys/fs/cgroup/unified/cgroup.procs", "1\n")
    tree.v1("", 9223372036854771712, 12 << 30)
    tree.v1("/docker", 9223372036854771712, 3 << 30)
    tree.v1("/docker/a:b", 512 * MIB, 512 * MIB, cache=112 * MIB)
    tree.check(80 * MIB)
    tree.refuses(
        81 * MIB,
        f"memory.limit_in_bytes = {512 * MIB} of control group /docker/a:b leaves {112 * MIB} bytes",
    )


def test_container_sees_a_part_of_the_hierarchy(tmp_path: Path) -> None:
    mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    tree = Tree(tmp_path, "4:memory:/docker/abc/inner\n", mounts)
    tree.v1("", 64 * MIB, 0)
    tree.refuses(61 * MIB, f"memory.limit_in_bytes = {64 * MIB} of control group / leaves {64 * MIB} bytes")
    # Another one's.
    tree = Tree(tmp_path, "4:memory:/docker/abcd\n", mounts)
    tree.check(61 * MIB)


def test_groups_of_the_namespace_alone(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "0::/\n", V2_MOUNTS)
    tree.check(1 << 30)
    tree.v2("", 64 * MIB, 80 * MIB)
    tree.refuses(1, f"memory.max = {64 * MIB} of control group / leaves 0 bytes")


def test_errors_name_the_limit_they_may_come_from() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert _headroom.explain(OSError(errno.EMFILE, "Too many")) == f"Too many, RLIMIT_NOFILE is {soft}"
    assert _headroom.explain(OSError(errno.ENOENT, "None")) == "None"


@pytest.mark.anyio
async def test_no_descriptor_for_a_connection(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files, RLIMIT_NOFILE is 3"):
            await gpud.connect(tmp_path / "sock")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
