"""The sizes it must hold: a thousand connections, a hundred thousand allocations, a gibibyte in one call."""

import hashlib
import os
import random
from typing import Any

import msgpack
import pytest
from harness import IS_ASAN, Daemon, stopwatch
from rpc import Client, Region, registered, until

DEVICE = "vulkan:0"
MIB = 1 << 20
GIB = 1 << 30

N_MEMS = int(os.environ.get("GPUD_TEST_MEMS", "20000" if IS_ASAN else "100000"))


def test_thousand_connections_at_once(daemon: Daemon, client: Client) -> None:
    clients = [daemon.connect() for _ in range(1000)]
    for i, each in enumerate(clients):
        each.submit("mem.alloc", {"device": DEVICE, "size": 100 + i})
    mems = [each.wait(1)["mem"] for each in clients]
    for i, (each, mem) in enumerate(zip(clients, mems, strict=True)):
        each.submit("mem.fill", {"mem": mem, "pattern": bytes([i % 256])})
    for i, (each, mem) in enumerate(zip(clients, mems, strict=True)):
        each.wait(2)
        assert each.read(mem, 100 + i) == bytes([i % 256]) * (100 + i)
    status = client.call("daemon.status")
    assert status["sessions"] == 1001
    assert status["mems"] == 1000
    sessions = client.list_sessions()
    assert len({session["session"] for session in sessions}) == len(sessions) == 1001
    for each in clients:
        each.close()


def pipelined(client: Client, method: str, arguments: list[dict[str, Any]]) -> list[Any]:
    """Results of many calls, some hundreds of them on their way at once."""
    results: list[Any] = [None] * len(arguments)
    for begin in range(0, len(arguments), 500):
        part = arguments[begin : begin + 500]
        client.send(b"".join(msgpack.packb([0, i, method, [a]]) for i, a in enumerate(part)))
        for _ in part:
            kind, msgid, error, result = client.receive()
            assert (kind, error) == (1, None)
            results[begin + msgid] = result
    return results


def test_hundred_thousand_allocations(daemon: Daemon, client: Client) -> None:
    """They come out of blocks, so the driver's own limit (often 4,096) does not matter."""
    dice = random.Random(1)
    sizes = [dice.choice([1, 16, 100, 256, 1000, 4096]) for _ in range(N_MEMS)]
    elapsed = stopwatch()
    infos = pipelined(client, "mem.alloc", [{"device": DEVICE, "size": size} for size in sizes])
    mems = [info["mem"] for info in infos]
    print(f"{N_MEMS} allocations: {N_MEMS / elapsed():.0f}/s")
    assert len(set(mems)) == N_MEMS
    assert client.call("daemon.status")["mems"] == N_MEMS
    assert client.call("device.memory", device=DEVICE)["used"] >= sum(sizes)
    for i in dice.sample(range(N_MEMS), 50):
        client.call("mem.fill", mem=mems[i], pattern=b"\xff")
        assert client.read(mems[i], sizes[i]) == b"\xff" * sizes[i]
        assert not any(client.read(mems[(i + 1) % N_MEMS], 1)) or mems[(i + 1) % N_MEMS] == mems[i]
        client.call("mem.fill", mem=mems[i], pattern=b"\0")
    elapsed = stopwatch()
    listed = client.list_mems()
    print(f"{len(listed)} listed in {elapsed():.2f} s")
    assert {m["mem"] for m in listed} == set(mems)
    # One that is looked for among all these is not in the first part, which is not the end.
    last = client.alloc(1, name="needle")
    assert client.call("mem.list", name_prefix="needle")["mems"] == []
    assert client.call("mem.list", name_prefix="needle")["next"] is not None
    assert [m["mem"] for m in client.list_mems(name_prefix="needle")] == [last]
    client.free(last)
    dice.shuffle(mems)
    half = len(mems) // 2
    pipelined(client, "mem.free", [{"mem": mem} for mem in mems[:half]])
    assert client.call("daemon.status")["mems"] == N_MEMS - half
    # The rest goes with the session.
    with daemon.connect() as other:
        pipelined(other, "mem.alloc", [{"device": DEVICE, "size": 64} for _ in range(half)])
    pipelined(client, "mem.free", [{"mem": mem} for mem in mems[half:]])


def test_listing_while_others_come_and_go(daemon: Daemon, client: Client) -> None:
    """Whoever lives from the first page to the last is listed once, whatever happens meanwhile."""
    stay = [client.alloc(1) for _ in range(2500)]
    with daemon.connect() as other:
        found: list[str] = []
        cursor = None
        while True:
            page = client.call("mem.list", cursor=cursor)
            found += [m["mem"] for m in page["mems"]]
            assert len(page["mems"]) <= 1000
            cursor = page["next"]
            if cursor is None:
                break
            other.free(*[other.alloc(1) for _ in range(50)])
            for _ in range(20):
                other.alloc(1)
        for mem in stay:
            assert found.count(mem) == 1
    client.free(*stay)


def test_cursor_that_means_nothing(client: Client) -> None:
    mem = client.alloc(1)
    for cursor in (1 << 20, 1 << 40, (1 << 64) - 1):
        assert client.call("mem.list", cursor=cursor) == {"mems": [], "next": None}
    client.free(mem)


def test_names_and_meta_at_their_limits(client: Client) -> None:
    limits = client.call("session.hello")["limits"]
    name = "\u00e4" * (limits["name_max"] // 2) + "x" * (limits["name_max"] % 2)
    assert len(name.encode()) == limits["name_max"]
    meta = os.urandom(limits["meta_max"])
    mem = client.alloc(1, name=name, meta=meta)
    info = client.call("mem.open", device=DEVICE, name=name)
    assert (info["mem"], info["name"], info["meta_size"]) == (mem, name, len(meta))
    assert client.call("mem.meta", mem=mem)["meta"] == meta
    assert client.refusal("mem.alloc", device=DEVICE, size=1, name=name + "x").name == "INVALID_ARGUMENT"
    error = client.refusal("mem.meta", mem=mem, meta=meta + b"x")
    assert str(limits["meta_max"]) in error.message
    assert client.call("mem.meta", mem=mem)["meta"] == meta
    assert client.call("mem.meta", mem=mem, meta=b"")["meta"] == b""
    assert client.call("mem.info", mem=mem)["meta_size"] == 0
    client.free(mem)


def test_inline_at_its_limit(client: Client) -> None:
    limit = client.call("session.hello")["limits"]["inline_max"]
    mem = client.alloc(limit + 1)
    data = os.urandom(limit)
    client.call("mem.write", mem=mem, data=data)
    assert client.call("mem.read", mem=mem, size=limit)["data"] == data
    error = client.refusal("mem.write", mem=mem, data=data + b"x")
    assert (error.name, str(limit) in error.message) == ("INVALID_ARGUMENT", True)
    assert client.refusal("mem.read", mem=mem, size=limit + 1).name == "INVALID_ARGUMENT"
    assert client.read(mem, limit + 1) == data + b"\0"
    client.free(mem)


@pytest.mark.parametrize("staging", ["no", "yes"])
def test_a_gibibyte_in_one_call(spawn: Any, staging: str) -> None:
    daemon = spawn(gpu={"force_staging": staging})
    with daemon.connect() as client:
        if client.call("device.memory", device=DEVICE)["available"] < GIB + 64 * MIB:
            pytest.skip("the device has no gibibyte left")
        mem = client.alloc(GIB)
        with registered(client, GIB) as (region, shm):
            block = os.urandom(MIB)
            digest = hashlib.sha256()
            for i in range(1024):
                part = i.to_bytes(8, "little") + block[8:]
                region.map[i * MIB : (i + 1) * MIB] = part
                digest.update(part)
            elapsed = stopwatch()
            assert client.call("mem.write", mem=mem, shm=shm, size=GIB) == {}
            print(f"1 GiB written in {elapsed():.2f} s")
            region.map[:] = bytes(GIB)
            elapsed = stopwatch()
            client.call("mem.read", mem=mem, shm=shm, size=GIB)
            print(f"1 GiB read in {elapsed():.2f} s")
            assert hashlib.sha256(memoryview(region.map)).digest() == digest.digest()
        client.free(mem)


def test_small_requests_are_served_during_a_large_copy(daemon: Daemon, client: Client) -> None:
    """The loop never waits for the GPU: a ping is answered while half a gibibyte moves."""
    size = 512 * MIB
    mem = client.alloc(size)
    with daemon.connect() as other, Region(size) as region:
        shm = client.register(region)
        copy = client.submit("mem.write", {"mem": mem, "shm": shm, "size": size})
        n = 0
        while other.call("daemon.status")["inflight"] > 1 or n == 0:
            n += 1
        client.wait(copy)
        assert n > 1
        client.call("shm.release", shm=shm)
    client.free(mem)


def test_connections_are_bounded(spawn: Any) -> None:
    """Past connections_max a connection is closed, or waits; those that are there go on."""
    daemon = spawn(gpud={"connections_max": 10})
    with daemon.connect() as client:
        others = []
        for _ in range(30):
            other = daemon.connect(timeout=2)
            others.append(other)
        n_served = 0
        for other in others:
            try:
                n_served += other.call("daemon.ping") == {}
            except Exception:
                other.close()
        assert n_served <= 9
        assert client.call("daemon.ping") == {}
        for other in others:
            other.close()
        # Whoever comes before gpud has seen them go is refused too.
        assert until(lambda: client.call("daemon.status")["sessions"] == 1)
