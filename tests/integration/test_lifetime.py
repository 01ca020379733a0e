"""Who keeps an allocation alive, who may touch it, and what a client that dies leaves behind: nothing that
was its own, everything it published."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from harness import IS_ASAN, Daemon
from rpc import Client, Region, RpcError, registered, until
from schema import Schema, objects_of
from users import as_user, needs_root

# How many clients are killed in the middle of a copy. 200 in `make check`.
KILLS = int(os.environ.get("GPUD_TEST_KILLS", "20" if IS_ASAN else "200"))

DEVICE = "vulkan:0"

KEPT = 64 * b"\xa5"
"""bytes that are in no call and no empty allocation"""


def refs(client: Client, mem: str) -> int:
    n: int = client.call("mem.info", mem=mem)["refs"]
    return n


def test_info_of_an_allocation(client: Client) -> None:
    before = time.time_ns()
    info = client.call("mem.alloc", device=DEVICE, size=5, name="weights/layer 0/\u00e4", meta=b"123")
    assert info == {
        "mem": info["mem"],
        "device": DEVICE,
        "size": 5,
        "name": "weights/layer 0/\u00e4",
        "uid": os.getuid(),
        "gid": os.getgid(),
        "mode": 0o600,
        "lifetime": "session",
        "expires_ns": None,
        "sealed": False,
        "exportable": False,
        "created_ns": info["created_ns"],
        "refs": 1,
        "meta_size": 3,
        "given_up": False,
        "holders": 1,
        "pid": os.getpid(),
        "comm": info["comm"],
    }
    assert info["comm"]
    assert before <= info["created_ns"] <= time.time_ns()
    assert client.call("mem.info", mem=info["mem"]) == info
    assert client.list_mems() == [info]
    client.free(info["mem"])
    assert client.refusal("mem.info", mem=info["mem"]).name == "NOT_FOUND"
    assert client.refusal("mem.free", mem=info["mem"]).name == "NOT_FOUND"


def test_device_by_uuid(client: Client) -> None:
    device = client.call("device.info", device=DEVICE)
    mem = client.alloc(64, device=device["uuid"])
    assert client.call("mem.info", mem=mem)["device"] == DEVICE
    client.free(mem)


def test_session_ends_with_its_connection(daemon: Daemon, client: Client) -> None:
    with daemon.connect() as other:
        mem = other.alloc(1 << 20)
        assert refs(client, mem) == 1
    assert until(lambda: client.list_mems() == [])


def test_persistent(daemon: Daemon, client: Client) -> None:
    with daemon.connect() as other:
        info = other.call("mem.alloc", device=DEVICE, size=100, name="kept", lifetime="persistent")
        assert (info["lifetime"], info["refs"]) == ("persistent", 2)
        other.write(info["mem"], b"still here")
    mem = info["mem"]
    assert until(lambda: refs(client, mem) == 1)
    assert client.call("mem.open", device=DEVICE, name="kept")["refs"] == 2
    # Not the owner whose number is the lower half of it.
    uid = os.getuid() + (1 << 32)
    refusal = client.refusal("mem.open", device=DEVICE, name="kept", uid=uid)
    assert refusal.name == "INVALID_ARGUMENT" and str(uid) in refusal.message
    assert client.read(mem, 10) == b"still here"
    # Its owner's word ends both references.
    client.free(mem)
    assert client.refusal("mem.info", mem=mem).name == "NOT_FOUND"


def test_persist_later(daemon: Daemon, client: Client) -> None:
    with daemon.connect() as other:
        mem = other.alloc(100)
        assert other.call("mem.persist", mem=mem)["lifetime"] == "persistent"
        assert other.call("mem.persist", mem=mem)["refs"] == 2
    assert until(lambda: refs(client, mem) == 1)
    # A free by the owner in a session that never opened it is enough.
    client.free(mem)


def test_seal(client: Client) -> None:
    mem, other = client.alloc(64, name="sealed"), client.alloc(64)
    client.write(mem, b"final")
    assert client.call("mem.seal", mem=mem)["sealed"] is True
    assert client.call("mem.seal", mem=mem)["sealed"] is True
    client.call("mem.copy", src=mem, dst=other, size=5)
    assert client.read(other, 5) == client.read(mem, 5) == b"final"
    client.free(mem, other)


def test_sealed_bytes_stay(daemon: Daemon, client: Client) -> None:
    """Whatever is called on a sealed allocation: it is refused as SEALED, or changes no byte."""
    schema = Schema(client)
    refused = []
    with daemon.connect() as witness:
        other = witness.alloc(64)
        for method, argument in schema.arguments_that_name("mem"):
            with objects_of(client) as (objects, region):
                mem = objects["mem"]
                client.write(mem, KEPT)
                client.call("mem.seal", mem=mem)
                witness.call("mem.open", mem=mem)
                arguments = schema.call_with(method, objects | {"mem": other}, argument, mem)
                try:
                    client.call(method["name"], [region.fd] * method["fds"], **arguments)
                except RpcError as error:
                    assert error.name == "SEALED", (method["name"], arguments, error)
                    refused.append(method["name"])
                assert witness.read(mem, len(KEPT)) == KEPT, (method["name"], arguments)
                witness.free(mem)
    assert {"mem.write", "mem.fill", "mem.copy"} <= set(refused)


def test_names(client: Client) -> None:
    mem, other = client.alloc(64, name="a"), client.alloc(64)
    assert client.refusal("mem.alloc", device=DEVICE, size=64, name="a").name == "ALREADY_EXISTS"
    assert client.refusal("mem.rename", mem=other, name="a").name == "ALREADY_EXISTS"
    assert client.call("mem.rename", mem=mem, name="a")["name"] == "a"
    assert client.call("mem.rename", mem=mem, name="b")["name"] == "b"
    assert client.refusal("mem.open", device=DEVICE, name="a").name == "NOT_FOUND"
    assert client.call("mem.rename", mem=other, name="a")["name"] == "a"
    assert client.call("mem.rename", mem=other)["name"] is None
    assert client.call("mem.open", device=DEVICE, name="b")["mem"] == mem
    client.free(mem, other)
    # The name goes with the allocation.
    again = client.alloc(64, name="b")
    client.free(again)


def test_list_filters(daemon: Daemon, client: Client) -> None:
    with daemon.connect() as other:
        session = other.call("session.hello", client="other")["session"]
        theirs = [other.alloc(64, name=f"theirs/{i}") for i in range(3)]
        ours = [client.alloc(64, name=f"ours/{i}") for i in range(2)]
        names = {mem["name"] for mem in client.list_mems()}
        assert len(names) == 5
        assert {m["mem"] for m in client.list_mems(name_prefix="theirs/")} == set(theirs)
        assert {m["mem"] for m in client.list_mems(session=session)} == set(theirs)
        assert client.list_mems(name_prefix="nobody") == []
        assert client.list_mems(uid=4_000_000) == []
        assert len(client.list_mems(uid=os.getuid(), device=DEVICE)) == 5
        client.free(*ours)


def test_session_list(daemon: Daemon, client: Client) -> None:
    with daemon.connect() as other:
        hello = other.call("session.hello", client="a name")
        other.alloc(1000)
        sessions = client.call("session.list")["sessions"]
        assert len(sessions) == 2
        found = next(s for s in sessions if s["session"] == hello["session"])
        assert found["client"] == "a name"
        assert (found["uid"], found["gid"], found["pid"]) == (os.getuid(), os.getgid(), os.getpid())
        assert (found["mems"], found["bytes"]) == (1, 1000)
        assert found["comm"]
        assert other.call("mem.list", session=hello["session"])["mems"][0]["size"] == 1000
    # Who has gone is in no list, and is not found.
    assert until(lambda: client.call("daemon.status")["sessions"] == 1)
    assert [s["pid"] for s in client.list_sessions()] == [os.getpid()]
    assert client.refusal("mem.list", session=hello["session"]).name == "NOT_FOUND"
    assert client.call("session.list", cursor=1 << 63) == {"sessions": [], "next": None}


def test_freed_in_flight(client: Client) -> None:
    """A free that overtakes the work before it never pulls the memory from under it."""
    with registered(client, 64 << 20) as (region, shm):
        for _ in range(10):
            mem = client.alloc(64 << 20)
            region.map[:4] = b"data"
            write = client.submit("mem.write", {"mem": mem, "shm": shm, "size": 64 << 20})
            read = client.submit("mem.read", {"mem": mem, "shm": shm, "size": 64 << 20})
            free = client.submit("mem.free", {"mem": mem})
            client.wait(free)
            assert client.wait(write) == {}
            assert client.wait(read) == {"data": None}
            assert client.refusal("mem.info", mem=mem).name == "NOT_FOUND"


def test_region_released_in_flight(client: Client) -> None:
    """The reply to a release comes after the copies through the region have ended."""
    mem = client.alloc(64 << 20)
    with Region(64 << 20) as region:
        shm = client.register(region)
        writes = [client.submit("mem.write", {"mem": mem, "shm": shm, "size": 64 << 20}) for _ in range(4)]
        release = client.submit("shm.release", {"shm": shm})
        order = [client.receive()[1] for _ in range(5)]
        assert order[-1] == release
        assert sorted(order[:-1]) == writes
        assert client.refusal("shm.release", shm=shm).name == "NOT_FOUND"
    client.free(mem)


# Death.

VICTIM = """
import sys
sys.path.insert(0, sys.argv[2])
from rpc import Client, Region
client = Client(sys.argv[1])
size = 256 << 20
region = Region(size)
shm = client.register(region)
mem = client.alloc(size)
print("ready", flush=True)
while True:
    for method in ("mem.write", "mem.read"):
        client.call(method, mem=mem, shm=shm, size=size)
        print("copied", flush=True)
"""


def test_clients_killed_in_the_middle_of_a_copy(daemon: Daemon, client: Client) -> None:
    """`kill -9` during a copy of 256 MiB, many times: the books balance and no descriptor stays."""
    here = os.path.dirname(__file__)
    for i in range(0, KILLS, 2):
        # Two at a time, so that one dies while the other copies.
        victims = [
            subprocess.Popen([sys.executable, "-c", VICTIM, daemon.socket, here], stdout=subprocess.PIPE)
            for _ in range(min(2, KILLS - i))
        ]
        for victim in victims:
            assert victim.stdout is not None
            assert victim.stdout.readline() == b"ready\n"
        for victim in victims:
            # A copy takes some 50 ms here: spread the kills over a few of them.
            time.sleep((i % 20) * 0.004)
            victim.send_signal(signal.SIGKILL)
        for victim in victims:
            victim.wait()
            assert victim.stdout is not None
            victim.stdout.close()
    client.call("device.sync", device=DEVICE)


def test_clients_killed_with_many_requests_in_flight(daemon: Daemon, client: Client) -> None:
    """Closing with a full pipeline: what nobody waits for any more ends all the same."""
    for i in range(20):
        with daemon.connect() as other, Region(8 << 20) as region:
            shm = other.register(region)
            mem = other.alloc(8 << 20)
            for _ in range(30):
                other.submit("mem.write", {"mem": mem, "shm": shm, "size": 8 << 20})
                other.submit("mem.fill", {"mem": mem, "pattern": bytes([i])})
                other.submit("mem.alloc", {"device": DEVICE, "size": 1 << 20})
                other.submit("mem.copy", {"src": mem, "dst": mem, "size": 1 << 20, "dst_offset": 1})
    assert client.call("daemon.ping") == {}


# Two users.

OWNERS_ALONE = ("name", "uid", "gid", "mode", "lifetime", "expires_ns", "sealed")
"""fields of mem_info that only the owner can change"""


def is_allowed(
    schema: Schema, owner: Client, other: Client, method: dict[str, Any], argument: str, mode: int
) -> bool:
    """Whether another user may do this to an allocation of such a mode. Either way it has no effect that the
    mode does not allow."""
    where = (method["name"], argument, oct(mode))
    info = owner.call("mem.alloc", device=DEVICE, size=len(KEPT), mode=mode, name="theirs")
    mem = info["mem"]
    owner.write(mem, KEPT)
    # Also so that there is a reference to close.
    other.call("mem.open", mem=mem)
    with objects_of(other) as (objects, region):
        arguments = schema.call_with(method, objects, argument, mem)
        try:
            result = other.call(method["name"], [region.fd] * method["fds"], **arguments)
        except RpcError as error:
            assert error.name == "PERMISSION_DENIED", (where, error)
            result = None
        if not mode & 0o004:
            out = [value for value in (result or {}).values() if isinstance(value, bytes)]
            out += [other.read(objects["mem"], len(KEPT)), region.map[:]]
            assert not any(KEPT[:1] in data for data in out), where
    if not mode & 0o002:
        assert owner.read(mem, len(KEPT)) == KEPT, where
    after = owner.call("mem.info", mem=mem)
    assert {key: after[key] for key in OWNERS_ALONE} == {key: info[key] for key in OWNERS_ALONE}, where
    with suppress(RpcError):
        other.call("mem.close", mem=mem)
    owner.free(mem)
    return result is not None


@needs_root
class TestUsers:
    def test_stranger_sees_nothing(self, daemon: Daemon, client: Client) -> None:
        mem = client.alloc(64, name="private")
        with as_user(daemon, 12345, []) as connect:
            stranger = connect()
            nobodys = stranger.alloc(64)
            stranger.free(nobodys)
            schema = Schema(stranger)
            with objects_of(stranger) as (objects, region):
                for method, argument in schema.arguments_that_name("mem"):
                    error, missing = (
                        stranger.refusal(
                            method["name"],
                            [region.fd] * method["fds"],
                            **schema.call_with(method, objects, argument, handle),
                        )
                        for handle in (mem, nobodys)
                    )
                    assert error.name == "NOT_FOUND", (method["name"], argument, error)
                    # It answers exactly like a handle that does not exist.
                    assert missing.message.replace(nobodys, mem) == error.message
            assert stranger.refusal("mem.open", device=DEVICE, name="private", uid=0).name == "NOT_FOUND"
            assert stranger.list_mems() == []
            assert [s["uid"] for s in stranger.call("session.list")["sessions"]] == [12345]
        client.free(mem)

    def test_rights_in_every_method(self, daemon: Daemon, client: Client) -> None:
        """Whatever others call on an allocation: without the r bit no byte of it gets out, without the w bit
        none changes, and what its owner decides stays. Both bits allow what one of them allows."""
        schema = Schema(client)
        with as_user(daemon, 12345, []) as owner_connect, as_user(daemon, 23456, []) as other_connect:
            owner, other = owner_connect(), other_connect()
            for method, argument in schema.arguments_that_name("mem"):
                where = (method["name"], argument)
                reads, writes, both = (
                    is_allowed(schema, owner, other, method, argument, mode) for mode in (0o604, 0o602, 0o606)
                )
                assert both == (reads or writes), where

    def test_mode_bits(self, daemon: Daemon, client: Client) -> None:
        with as_user(daemon, 12345, [777]) as owner_connect, as_user(daemon, 23456, []) as other_connect:
            owner, other = owner_connect(), other_connect()
            mem = owner.alloc(64, mode=0o604)
            assert other.call("mem.open", mem=mem)["uid"] == 12345
            assert other.read(mem, 4) == bytes(4)
            assert other.refusal("mem.write", mem=mem, data=b"x").name == "PERMISSION_DENIED"
            assert other.refusal("mem.fill", mem=mem, pattern=b"x").name == "PERMISSION_DENIED"
            assert other.refusal("mem.seal", mem=mem).name == "PERMISSION_DENIED"
            assert other.refusal("mem.chmod", mem=mem, mode=0o606).name == "PERMISSION_DENIED"
            owner.call("mem.chmod", mem=mem, mode=0o602)
            assert other.call("mem.write", mem=mem, data=b"x") == {}
            assert other.refusal("mem.read", mem=mem, size=1).name == "PERMISSION_DENIED"
            # To give it up is the owner's.
            assert "uid 12345" in other.refusal("mem.free", mem=mem).message
            assert owner.read(mem, 1) == b"x"
            owner.free(mem)

    def test_group_bits(self, daemon: Daemon, client: Client) -> None:
        with as_user(daemon, 12345, []) as owner_connect, as_user(daemon, 23456, [12345]) as member_connect:
            owner, member = owner_connect(), member_connect()
            mem = owner.alloc(64, mode=0o640)
            assert member.read(mem, 1) == b"\0"
            assert member.refusal("mem.write", mem=mem, data=b"x").name == "PERMISSION_DENIED"
            owner.call("mem.chmod", mem=mem, mode=0o660)
            assert member.call("mem.write", mem=mem, data=b"x") == {}
            # As with a file, who is in the group does not get what all others may.
            owner.call("mem.chmod", mem=mem, mode=0o606)
            assert member.refusal("mem.read", mem=mem, size=1).name in ("PERMISSION_DENIED", "NOT_FOUND")
            owner.free(mem)

    def test_root_may_all(self, daemon: Daemon, client: Client) -> None:
        with as_user(daemon, 12345, []) as connect:
            owner = connect()
            mem = owner.alloc(64, mode=0o000, lifetime="persistent", name="n")
            assert client.read(mem, 1) == b"\0"
            client.write(mem, b"x")
            assert client.call("mem.open", device=DEVICE, name="n", uid=12345)["mem"] == mem
            client.free(mem)
            # Its owner still holds it, as any session would.
            assert refs(client, mem) == 1
            owner.free(mem)

    def test_names_are_each_owners_own(self, daemon: Daemon, client: Client) -> None:
        ours = client.alloc(64, name="same")
        with as_user(daemon, 12345, []) as connect:
            owner = connect()
            theirs = owner.alloc(64, name="same")
            assert owner.call("mem.open", device=DEVICE, name="same")["mem"] == theirs
            assert client.call("mem.open", device=DEVICE, name="same")["mem"] == ours
        client.free(ours)
