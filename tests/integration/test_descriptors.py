"""Descriptors go to the messages that declare them, none stays open, and only a memfd that cannot fault gpud
becomes a region."""

import fcntl
import os
import socket
from typing import Any

import msgpack
import pytest
from harness import Daemon
from rpc import SEALS, Client, Closed, Region, registered


def test_region_without_a_descriptor(client: Client) -> None:
    error = client.refusal("shm.register", size=4096)
    assert error.name == "INVALID_ARGUMENT"


def test_descriptor_nobody_asked_for(daemon: Daemon, client: Client) -> None:
    """It is closed, and the message refused. (That none stays open is seen when the test ends.)"""
    with Region(4096) as region:
        for _ in range(50):
            error = client.refusal("daemon.ping", [region.fd])
            assert error.name == "INVALID_ARGUMENT"


def test_descriptors_are_taken_in_order(client: Client) -> None:
    """Three registrations in one send, three descriptors with its first byte."""
    sizes = [4096, 8192, 12288]
    regions = [Region(size) for size in sizes]
    requests = [msgpack.packb([0, i, "shm.register", [{"size": size}]]) for i, size in enumerate(sizes)]
    client.send(b"".join(requests), [region.fd for region in regions])
    replies = dict((m[1], m) for m in (client.receive() for _ in sizes))
    mem = client.alloc(16)
    for i, region in enumerate(regions):
        assert replies[i][2] is None, replies[i]
        region.map[:16] = bytes([i]) * 16
        shm = replies[i][3]["shm"]
        client.call("mem.write", mem=mem, shm=shm, size=16)
        assert client.read(mem, 16) == bytes([i]) * 16
        assert (
            client.refusal("mem.write", mem=mem, shm=shm, shm_offset=sizes[i], size=1).name == "OUT_OF_RANGE"
        )
        client.call("shm.release", shm=shm)
        region.close()
    client.free(mem)


def test_too_many_descriptors(daemon: Daemon, client: Client) -> None:
    """A client that only ever sends descriptors is cut off, or they are closed; they never pile up."""
    with Region(4096) as region, daemon.connect(timeout=30) as bad:
        try:
            for _ in range(100):
                bad.send(msgpack.packb([0, 1, "daemon.ping", []]), [region.fd] * 16)
                bad.receive()
        except (Closed, BrokenPipeError, ConnectionResetError):
            pass
        assert client.call("daemon.status")["fds"] < daemon.fds_idle + 40


def test_descriptors_with_half_a_message(daemon: Daemon, client: Client) -> None:
    with Region(4096) as region, daemon.connect() as bad:
        bad.send(b"\x94", [region.fd] * 8)
        assert client.call("daemon.ping") == {}


@pytest.mark.parametrize("seals", [0, SEALS & ~2, SEALS & ~4])
def test_region_that_could_shrink_or_grow(client: Client, seals: int) -> None:
    with Region(4096, seals) as region:
        error = client.refusal("shm.register", [region.fd], size=4096)
        assert error.name == "INVALID_ARGUMENT"
        assert "seal" in error.message


def test_region_too_small(client: Client) -> None:
    with Region(4096) as region:
        for size in (4097, 1 << 20, 1 << 40, (1 << 64) - 1):
            error = client.refusal("shm.register", [region.fd], size=size)
            assert error.name in ("INVALID_ARGUMENT", "OUT_OF_RANGE")
            assert str(size) in error.message
            assert "4096" in error.message
        assert client.refusal("shm.register", [region.fd], size=0).name == "INVALID_ARGUMENT"


def test_region_that_is_no_memfd(client: Client, tmp_path: Any) -> None:
    read_end, write_end = os.pipe()
    ours, theirs = socket.socketpair()
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(file, 4096)
    directory = os.open(tmp_path, os.O_RDONLY)
    null = os.open("/dev/null", os.O_RDWR)
    fds = [read_end, write_end, ours.fileno(), theirs.fileno(), file, directory, null]
    for fd in fds:
        assert client.refusal("shm.register", [fd], size=4096).name == "INVALID_ARGUMENT"
    for fd in fds[:2] + fds[4:]:
        os.close(fd)
    ours.close()
    theirs.close()


def test_region_that_is_read_only(client: Client) -> None:
    """Sealed against writing, or opened for reading alone: gpud could never read into it."""
    with Region(4096) as region:
        reader = os.open(f"/proc/self/fd/{region.fd}", os.O_RDONLY)
        assert client.refusal("shm.register", [reader], size=4096).name == "INVALID_ARGUMENT"
        os.close(reader)
    sealed = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(sealed, 4096)
    fcntl.fcntl(sealed, fcntl.F_ADD_SEALS, SEALS | fcntl.F_SEAL_WRITE)
    assert client.refusal("shm.register", [sealed], size=4096).name == "INVALID_ARGUMENT"
    os.close(sealed)


def test_region_of_another_session(daemon: Daemon, client: Client) -> None:
    mem = client.alloc(64)
    with daemon.connect() as other, registered(other, 4096) as (_, shm):
        for method in ("mem.write", "mem.read"):
            assert client.refusal(method, mem=mem, size=1, shm=shm).name == "NOT_FOUND"
        assert client.refusal("shm.release", shm=shm).name == "NOT_FOUND"
    client.free(mem)


def test_regions_are_bounded(client: Client) -> None:
    limit = client.call("session.hello")["limits"]["shms_max"]
    with Region(4096) as region:
        shms = [client.register(region) for _ in range(limit)]
        error = client.refusal("shm.register", [region.fd], size=4096)
        assert error.name == "RESOURCE_EXHAUSTED"
        assert str(limit) in error.message
        for shm in shms:
            client.call("shm.release", shm=shm)
