"""References are counted like descriptors, to free is the owner's word, a name shows nothing half-made."""

import os
from collections.abc import Iterator

import pytest
from harness import Daemon
from rpc import Client, registered, until
from users import as_user, needs_root

DEVICE = "vulkan:0"


@pytest.fixture
def other(daemon: Daemon, client: Client) -> Iterator[Client]:
    with daemon.connect() as connected:
        yield connected


def refs(client: Client, mem: str) -> int:
    n: int = client.call("mem.info", mem=mem)["refs"]
    return n


def is_gone(client: Client, mem: str) -> bool:
    return mem not in {info["mem"] for info in client.list_mems()}


def opens(client: Client, name: str, **arguments: int) -> str:
    mem: str = client.call("mem.open", device=DEVICE, name=name, **arguments)["mem"]
    return mem


class TestClose:
    def test_two_opens_are_two_references(self, client: Client) -> None:
        mem = client.alloc(4096)
        client.write(mem, b"precious")
        assert client.call("mem.open", mem=mem)["refs"] == 2
        assert client.call("mem.close", mem=mem) == {}
        assert (refs(client, mem), client.read(mem, 8)) == (1, b"precious")
        assert client.call("mem.close", mem=mem) == {}
        assert client.refusal("mem.info", mem=mem).name == "NOT_FOUND"

    def test_each_session_has_its_own(self, client: Client, other: Client) -> None:
        mem = client.alloc(4096, name="shared")
        client.write(mem, b"kept")
        for n in (2, 3):
            assert other.call("mem.open", mem=mem)["refs"] == n
        info = client.call("mem.info", mem=mem)
        assert (info["holders"], info["pid"], bool(info["comm"])) == (2, os.getpid(), True)
        client.call("mem.close", mem=mem)
        # The allocation was the first session's own; now it is the other's alone.
        refusal = client.refusal("mem.close", mem=mem)
        assert refusal.name == "NOT_FOUND" and "holds no reference" in refusal.message
        assert (refs(other, mem), other.read(mem, 4)) == (2, b"kept")
        other.close()
        assert until(lambda: is_gone(client, mem))

    def test_a_session_ends_with_all_of_them(self, client: Client, other: Client) -> None:
        mem = client.alloc(64)
        for _ in range(100):
            other.call("mem.open", mem=mem)
        assert refs(client, mem) == 101
        other.close()
        assert until(lambda: refs(client, mem) == 1)

    def test_persistent_stays(self, client: Client) -> None:
        mem = client.alloc(64, lifetime="persistent")
        client.call("mem.close", mem=mem)
        info = client.call("mem.info", mem=mem)
        assert (info["refs"], info["holders"], info["pid"], info["comm"]) == (1, 0, None, None)
        client.free(mem)

    def test_limit(self, client: Client) -> None:
        """One session's references to one allocation are bounded, and the ones before stay good."""
        mem = client.alloc(64)
        refs_max = client.call("session.hello")["limits"]["refs_max"]
        for first in range(1, refs_max, 256):
            n = min(256, refs_max - first)
            for opened in [client.submit("mem.open", {"mem": mem}) for _ in range(n)]:
                client.wait(opened)
        refusal = client.refusal("mem.open", mem=mem)
        assert refusal.name == "RESOURCE_EXHAUSTED" and f"refs_max = {refs_max}" in refusal.message
        assert refs(client, mem) == refs_max
        client.call("mem.close", mem=mem)
        assert client.call("mem.open", mem=mem)["refs"] == refs_max
        client.free(mem)

    @needs_root
    def test_whatever_the_mode_says_now(self, daemon: Daemon, client: Client) -> None:
        with as_user(daemon, 12345, []) as owner_connect, as_user(daemon, 23456, []) as other_connect:
            owner, other = owner_connect(), other_connect()
            mem = owner.alloc(64, mode=0o604)
            other.call("mem.open", mem=mem)
            owner.call("mem.chmod", mem=mem, mode=0o600)
            # It knows of the allocation, so it is told what it may not.
            assert other.refusal("mem.read", mem=mem, size=1).name == "PERMISSION_DENIED"
            assert other.call("mem.close", mem=mem) == {}
            assert other.refusal("mem.close", mem=mem).name == "NOT_FOUND"
            owner.free(mem)


class TestFree:
    def test_readers_read_on_and_the_name_is_free(self, client: Client, other: Client) -> None:
        old = client.alloc(4096, name="w", lifetime="persistent")
        client.write(old, b"v1")
        assert opens(other, "w") == old
        client.free(old)
        # Nobody opens it any more, by name or by handle, its owner neither.
        assert client.refusal("mem.open", device=DEVICE, name="w").name == "NOT_FOUND"
        assert "freed" in client.refusal("mem.open", mem=old).message
        assert "freed" in other.refusal("mem.open", mem=old).message
        assert client.refusal("mem.read", mem=old, size=2).name == "NOT_FOUND"
        new = client.alloc(4096, name="w", lifetime="persistent")
        client.write(new, b"v2")
        assert (other.read(old, 2), other.read(opens(other, "w"), 2)) == (b"v1", b"v2")
        info = other.call("mem.info", mem=old)
        assert (info["given_up"], info["name"], info["lifetime"], info["refs"]) == (True, None, "session", 1)
        # Its owner still sees what takes the memory.
        assert client.call("mem.info", mem=old)["holders"] == 1
        other.call("mem.close", mem=old)
        assert is_gone(client, old)
        client.free(new)

    def test_what_is_given_up_does_not_come_back(self, client: Client, other: Client) -> None:
        mem = client.alloc(64)
        other.call("mem.open", mem=mem)
        client.free(mem)
        for method, arguments in (
            ("mem.persist", {}),
            ("mem.rename", {"name": "again"}),
            ("mem.publish", {"name": "again"}),
            ("mem.renew", {"ttl_s": 60}),
        ):
            assert other.refusal(method, mem=mem, **arguments).name in ("NOT_FOUND", "INVALID_ARGUMENT")
        assert client.refusal("mem.free", mem=mem).name == "NOT_FOUND"
        other.close()
        assert until(lambda: is_gone(client, mem))

    def test_takes_all_references_of_the_session_that_frees(self, client: Client) -> None:
        mem = client.alloc(64)
        client.call("mem.open", mem=mem)
        client.free(mem)
        assert is_gone(client, mem)

    def test_by_force(self, daemon: Daemon, client: Client) -> None:
        """Everybody's references go, however many; copies in flight end first."""
        mem = client.alloc(16 << 20, name="w", lifetime="persistent")
        holders = [daemon.connect() for _ in range(3000)]
        for holder in holders:
            holder.submit("mem.open", {"mem": mem})
            holder.receive()
        with registered(holders[0], 16 << 20) as (_, shm):
            write = holders[0].submit("mem.write", {"mem": mem, "shm": shm, "size": 16 << 20})
            client.call("mem.free", mem=mem, force=True)
            assert holders[0].wait(write) == {}
            assert holders[0].refusal("mem.close", mem=mem).name == "NOT_FOUND"
        assert client.list_mems() == []
        assert until(lambda: client.call("daemon.status")["mems"] == 0)
        assert all(session["mems"] == 0 for session in client.list_sessions())
        for holder in holders:
            holder.close()

    def test_by_force_what_was_given_up(self, client: Client, other: Client) -> None:
        mem = client.alloc(64)
        other.call("mem.open", mem=mem)
        client.free(mem)
        assert client.call("mem.free", mem=mem, force=True) == {}
        assert other.refusal("mem.read", mem=mem, size=1).name == "NOT_FOUND"

    @needs_root
    def test_is_the_owners_word(self, daemon: Daemon, client: Client) -> None:
        with as_user(daemon, 12345, []) as owner_connect, as_user(daemon, 23456, []) as other_connect:
            owner, other = owner_connect(), other_connect()
            mem = owner.alloc(64, mode=0o666, name="w", lifetime="persistent")
            other.call("mem.open", mem=mem)
            for force in (False, True):
                refusal = other.refusal("mem.free", mem=mem, force=force)
                assert refusal.name == "PERMISSION_DENIED" and "uid 12345" in refusal.message
            assert refs(owner, mem) == 3
            owner.free(mem)
            # Others that the mode lets in see no trace of it; who holds it reads on.
            third = other_connect()
            assert third.list_mems() == [] and third.refusal("mem.info", mem=mem).name == "NOT_FOUND"
            assert other.read(mem, 1) == b"\0"
            other.call("mem.close", mem=mem)
            assert owner.list_mems() == []


class TestPublish:
    def test_one_step(self, client: Client) -> None:
        mem = client.alloc(64)
        info = client.call("mem.publish", mem=mem, name="model", mode=0o644, seal=True, ttl_s=60)
        assert (info["name"], info["mode"], info["sealed"]) == ("model", 0o644, True)
        assert (info["lifetime"], info["refs"]) == ("persistent", 2) and info["expires_ns"]
        # What is not said stays.
        info = client.call("mem.publish", mem=mem)
        assert (info["name"], info["mode"], info["sealed"]) == ("model", 0o644, True)
        client.free(mem)

    def test_lifetime_of_the_session(self, client: Client, other: Client) -> None:
        mem = other.alloc(64)
        assert other.call("mem.publish", mem=mem, name="n", lifetime="session")["lifetime"] == "session"
        refusal = other.refusal("mem.publish", mem=mem, lifetime="session", ttl_s=1)
        assert refusal.name == "INVALID_ARGUMENT" and "ttl_s" in refusal.message
        other.close()
        assert until(lambda: is_gone(client, mem))

    def test_replaces(self, client: Client, other: Client) -> None:
        old = client.alloc(64, name="w", lifetime="persistent")
        client.write(old, b"v1")
        assert opens(other, "w") == old
        new = client.alloc(64, name="new")
        client.write(new, b"v2")
        refusal = client.refusal("mem.publish", mem=new, name="w", mode=0o644, seal=True)
        assert refusal.name == "ALREADY_EXISTS" and '"w"' in refusal.message
        # Not one step of it was done.
        info = client.call("mem.info", mem=new)
        assert (info["name"], info["mode"], info["sealed"], info["refs"]) == ("new", 0o600, False, 1)
        assert client.call("mem.publish", mem=new, name="w", replace=True)["name"] == "w"
        assert other.read(opens(other, "w"), 2) == b"v2"
        # The older one stays for whoever reads it, the session that replaced it too.
        assert other.read(old, 2) == client.read(old, 2) == b"v1"
        assert client.refusal("mem.open", device=DEVICE, name="new").name == "NOT_FOUND"
        client.call("mem.close", mem=old)
        other.call("mem.close", mem=old)
        assert [info["mem"] for info in client.list_mems()] == [new]
        # To replace what one is, or what nobody is, changes nothing else.
        assert client.call("mem.publish", mem=new, name="w", replace=True)["refs"] == 3
        assert client.call("mem.publish", mem=new, name="x", replace=True)["name"] == "x"
        client.free(new)

    def test_replaces_what_nobody_holds(self, client: Client, other: Client) -> None:
        old = other.alloc(64, name="w", lifetime="persistent")
        other.close()
        assert until(lambda: refs(client, old) == 1)
        new = client.alloc(64)
        client.call("mem.publish", mem=new, name="w", replace=True)
        assert [info["mem"] for info in client.list_mems()] == [new]
        client.free(new)

    def test_replace_wants_a_name(self, client: Client) -> None:
        mem = client.alloc(64)
        refusal = client.refusal("mem.publish", mem=mem, replace=True)
        assert refusal.name == "INVALID_ARGUMENT" and "`replace`" in refusal.message
        assert client.refusal("mem.publish", mem=mem, name="").name == "INVALID_ARGUMENT"
        client.free(mem)

    @needs_root
    def test_replaces_only_the_owners(self, daemon: Daemon, client: Client) -> None:
        ours = client.alloc(64, name="w")
        with as_user(daemon, 12345, []) as connect:
            owner = connect()
            theirs = owner.alloc(64, mode=0o666)
            assert owner.call("mem.publish", mem=theirs, name="w", replace=True)["name"] == "w"
            # An administrator who publishes somebody's takes over that somebody's name.
            older, newer = owner.alloc(64, name="n"), owner.alloc(64)
            client.call("mem.publish", mem=newer, name="n", replace=True)
            assert opens(client, "n", uid=12345) == newer
            assert owner.call("mem.info", mem=older)["given_up"]
            client.free(newer, theirs)
        assert opens(client, "w") == ours
        client.free(ours)


def test_hello_says_who_the_caller_is(daemon: Daemon, client: Client) -> None:
    hello = client.call("session.hello")
    assert (hello["uid"], hello["gid"]) == (os.getuid(), os.getgid())
    assert hello["is_admin"] == (os.getuid() == 0)
    assert hello["limits"]["shm_max"] > 0


@needs_root
def test_hello_of_another_user(daemon: Daemon, client: Client) -> None:
    with as_user(daemon, 12345, []) as connect:
        hello = connect().call("session.hello")
        assert (hello["uid"], hello["gid"], hello["is_admin"]) == (12345, 12345, False)


def test_sessions_that_hold_an_allocation(client: Client, other: Client) -> None:
    mem = other.alloc(64)
    session = other.call("session.hello")["session"]
    assert [s["session"] for s in client.list_sessions(mem=mem)] == [session]
    client.call("mem.open", mem=mem)
    assert len(client.list_sessions(mem=mem)) == 2
    client.free(mem)
