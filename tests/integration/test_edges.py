"""The edges of copies: one byte of overlap, none at all, the bytes around a range, regions and clients that
go while their bytes move, more than is left. With regions that the device reads directly, and staged."""

import os
import random
import signal
import subprocess
import sys
from typing import Any

import pytest
from harness import Daemon
from rpc import Client, Region, RpcError, registered

DEVICE = "vulkan:0"
KIB = 1 << 10
MIB = 1 << 20

GUARD = 4099
"""bytes before and behind a range that must stay what they are; odd, so that nothing begins where pages do"""


@pytest.fixture(scope="module", params=["imported", "staged"])
def daemon_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"gpu": {"force_staging": "yes" if request.param == "staged" else "no"}}


def used(client: Client) -> int:
    n: int = client.call("device.memory", device=DEVICE)["used"]
    return n


# A few bytes, a small op, more than one chunk.
@pytest.mark.parametrize("size", [2, 1000, 300 * KIB, 17 * MIB + 3])
@pytest.mark.parametrize("is_upwards", [True, False])
def test_overlap_of_one_byte(client: Client, size: int, is_upwards: bool) -> None:
    """The last byte of one range is the first of the other."""
    total = 2 * size - 1 + 2 * GUARD
    low, high = GUARD, GUARD + size - 1
    src, dst = (low, high) if is_upwards else (high, low)
    model = bytearray(random.Random(size).randbytes(total))
    mem = client.alloc(total)
    with registered(client, total) as (region, shm):
        region.map[:] = bytes(model)
        client.call("mem.write", mem=mem, shm=shm, size=total)
        client.call("mem.copy", src=mem, dst=mem, src_offset=src, dst_offset=dst, size=size)
        client.call("mem.read", mem=mem, shm=shm, size=total)
        model[dst : dst + size] = bytes(model[src : src + size])
        assert region.map[:] == model
    client.free(mem)


def test_copies_of_no_bytes(client: Client) -> None:
    """They succeed wherever an offset may lie, the very end included, and change nothing."""
    mem, other = client.alloc(1000), client.alloc(10)
    client.write(mem, b"\x5a" * 1000)
    with registered(client, 4096) as (region, shm):
        region.map[:] = b"\xa5" * 4096
        for offset in (0, 1, 999, 1000):
            at = {"mem": mem, "offset": offset}
            for shm_offset in (0, 4095, 4096):
                through = {"shm": shm, "shm_offset": shm_offset, "size": 0}
                assert client.call("mem.write", **at, **through) == {}
                assert client.call("mem.read", **at, **through) == {"data": None}
            assert client.call("mem.write", **at, data=b"") == {}
            assert client.call("mem.read", **at, size=0) == {"data": b""}
            assert client.call("mem.fill", **at, size=0, pattern=b"x") == {}
            for there in (mem, other):
                assert client.call("mem.copy", src=mem, src_offset=offset, dst=there, size=0) == {}
        assert region.map[:] == b"\xa5" * 4096
        # What lies past the end is refused all the same.
        for arguments in ({"offset": 1001}, {"shm": shm, "shm_offset": 4097}):
            error = client.refusal("mem.read", **({"mem": mem, "size": 0} | arguments))
            assert error.name == "OUT_OF_RANGE"
    assert client.read(mem, 1000) == b"\x5a" * 1000
    client.free(mem, other)


@pytest.mark.parametrize("size", [1, 5, 65537, 16 * MIB, 33 * MIB + 7])
def test_bytes_around_a_range(client: Client, size: int) -> None:
    """Every kind of copy writes its range, at odd places on both sides, and not a byte beside it."""
    total = size + 2 * GUARD
    dice = random.Random(size)
    model = bytearray(dice.randbytes(total))
    source = dice.randbytes(size + 1)
    mem, other = client.alloc(total), client.alloc(size + 1)
    with registered(client, total) as (region, shm):

        def write(to: str, data: bytes | bytearray) -> None:
            region.map[: len(data)] = bytes(data)
            client.call("mem.write", mem=to, shm=shm, size=len(data))

        def check() -> None:
            region.map[:] = b"\xee" * total
            client.call("mem.read", mem=mem, shm=shm, size=total)
            assert region.map[:] == model

        write(mem, model)
        write(other, source)
        client.call("mem.copy", src=other, src_offset=1, dst=mem, dst_offset=GUARD, size=size)
        model[GUARD : GUARD + size] = source[1:]
        check()
        data = dice.randbytes(size)
        region.map[7 : 7 + size] = data
        client.call("mem.write", mem=mem, offset=GUARD, shm=shm, shm_offset=7, size=size)
        model[GUARD : GUARD + size] = data
        check()
        client.call("mem.fill", mem=mem, offset=GUARD, size=size, pattern=b"0123456789abcdef")
        model[GUARD : GUARD + size] = (b"0123456789abcdef" * (size // 16 + 1))[:size]
        check()
        # And in the region, when it is the target.
        region.map[:] = b"\xee" * total
        client.call("mem.read", mem=mem, offset=GUARD, shm=shm, shm_offset=GUARD, size=size)
        assert region.map[GUARD : GUARD + size] == model[GUARD : GUARD + size]
        assert region.map[:GUARD] == region.map[GUARD + size :] == b"\xee" * GUARD
    client.free(mem, other)


@pytest.mark.parametrize("pattern", [b"ab", b"abab", b"aaaaaaaa", b"abcdabcd", b"ab" * 8, b"abcdefgh" * 2])
def test_pattern_that_repeats_in_itself(client: Client, pattern: bytes) -> None:
    """It may be filled in as a shorter one, which must begin at the offset just so."""
    size = 100 * KIB
    mem = client.alloc(size)
    for offset, n in [(0, size), (1, size - 1), (2, 99), (3, 70001), (5, 7), (size - 3, 3)]:
        client.call("mem.fill", mem=mem, pattern=b"\xff")
        client.call("mem.fill", mem=mem, offset=offset, size=n, pattern=pattern)
        expected = b"\xff" * offset + (pattern * (n // len(pattern) + 1))[:n]
        assert client.read(mem, size) == expected + b"\xff" * (size - offset - n)
    client.free(mem)


def test_region_released_while_it_is_read(client: Client) -> None:
    """The copy finishes first, with every byte of the region as it was, and then the release."""
    size = 48 * MIB + 5
    mem = client.alloc(size + 2 * GUARD)
    client.call("mem.fill", mem=mem, pattern=b"\xee")
    data = random.Random(48).randbytes(size)
    with Region(size) as region:
        region.map[:] = data
        shm = client.register(region)
        write = client.submit("mem.write", {"mem": mem, "offset": GUARD, "shm": shm, "size": size})
        release = client.submit("shm.release", {"shm": shm})
        # From now on it is unknown, also to who was quick.
        late = client.submit("mem.write", {"mem": mem, "shm": shm, "size": 1})
        with pytest.raises(RpcError, match="NOT_FOUND"):
            client.wait(late)
        assert client.wait(write) == {}
        assert client.wait(release) == {}
        # It is ours alone again.
        region.map[:] = bytes(size)
    with registered(client, size + 2 * GUARD) as (back, shm):
        client.call("mem.read", mem=mem, shm=shm, size=back.size)
        assert back.map[GUARD : GUARD + size] == data
        assert back.map[:GUARD] == back.map[GUARD + size :] == b"\xee" * GUARD
    client.free(mem)


def test_region_released_while_it_is_written(client: Client) -> None:
    size = 48 * MIB + 5
    data = random.Random(49).randbytes(size)
    mem = client.alloc(size)
    with Region(size + 2 * GUARD) as region:
        shm = client.register(region)
        region.map[:size] = data
        client.call("mem.write", mem=mem, shm=shm, size=size)
        region.map[:] = b"\xee" * region.size
        arguments = {"mem": mem, "shm": shm, "shm_offset": GUARD, "size": size}
        read = client.submit("mem.read", arguments)
        release = client.submit("shm.release", {"shm": shm})
        assert client.wait(read) == {"data": None}
        assert region.map[GUARD : GUARD + size] == data
        assert region.map[:GUARD] == region.map[GUARD + size :] == b"\xee" * GUARD
        assert client.wait(release) == {}
    client.free(mem)


VICTIM = """
import sys
sys.path.insert(0, sys.argv[2])
from rpc import Client, Region
mem, offset, size = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
client = Client(sys.argv[1])
client.call("mem.open", mem=mem)
region = Region(size)
region.map[:] = b"\\x22" * size
shm = client.register(region)
print("ready", flush=True)
while True:
    client.call("mem.write", mem=mem, offset=offset, shm=shm, size=size)
"""


def test_client_that_dies_while_it_writes_what_others_use(daemon: Daemon, client: Client) -> None:
    """What it wrote is there or is not, and the bytes around its range are as they were."""
    size = 64 * MIB
    total = size + 2 * GUARD
    mem = client.alloc(total)
    here = os.path.dirname(__file__)
    with registered(client, total) as (region, shm):
        for i in range(5):
            client.call("mem.fill", mem=mem, pattern=b"\x11")
            words = [sys.executable, "-c", VICTIM, daemon.socket, here, mem, str(GUARD), str(size)]
            with subprocess.Popen(words, stdout=subprocess.PIPE) as victim:
                assert victim.stdout is not None
                assert victim.stdout.readline() == b"ready\n"
                for _ in range(10 * i):
                    client.call("daemon.ping")
                victim.send_signal(signal.SIGKILL)
            # Its copy ends, and then there is no other.
            client.call("device.sync", device=DEVICE)
            client.call("mem.read", mem=mem, shm=shm, size=total)
            assert region.map[:GUARD] == region.map[GUARD + size :] == b"\x11" * GUARD
            inside = region.map[GUARD : GUARD + size]
            assert inside.count(b"\x11") + inside.count(b"\x22") == size
            before = region.map[:]
            client.call("mem.read", mem=mem, shm=shm, size=total)
            assert region.map[:] == before
    client.free(mem)


def test_more_at_once_than_is_left(client: Client) -> None:
    """Allocations that each fit and together do not: those that are granted are no more than there is, the
    others are refused, and the ledger counts the former alone."""
    available = client.call("device.memory", device=DEVICE)["available"]
    size = available // 5 * 2
    kept = client.alloc(1000)
    asked = [client.submit("mem.alloc", {"device": DEVICE, "size": size}) for _ in range(6)]
    mems = []
    for msgid in asked:
        try:
            mems.append(client.wait(msgid)["mem"])
        except RpcError as error:
            assert error.name == "OUT_OF_MEMORY"
            assert str(size) in error.message
    assert len(mems) == 2
    assert used(client) == 2 * size + 1000
    error = client.refusal("mem.alloc", device=DEVICE, size=size)
    assert error.name == "OUT_OF_MEMORY"
    assert used(client) == 2 * size + 1000
    client.free(mems.pop())
    assert used(client) == size + 1000
    mems.append(client.alloc(size))
    client.free(*mems, kept)
    assert used(client) == 0
