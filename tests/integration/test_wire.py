"""What goes over the socket: every method is refused what it does not take, whatever is sent breaks no more
than the connection it came on. The methods and their arguments come from daemon.describe, so a new method is
tested without a line here."""

import os
import random
import socket
import struct
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from harness import Daemon
from rpc import Client, Closed, RpcError, until
from schema import STRANGER, WAYS, Schema, objects_of, ways_to_call

# One value of every other type than a kind takes.
ANY_VALUES = {
    "nil": None,
    "bool": True,
    "u64": 7,
    "negative": -1,
    "f64": 1.5,
    "str": "text",
    "bin": b"\xff\x00",
    "array": [1],
    "map": {"a": 1},
}
TAKEN = {
    "bool": {"bool"},
    "u64": {"u64"},
    "f64": {"f64", "u64", "negative"},
    "str": {"str"},
    "bin": {"bin", "str"},
    "uuid": set(),
    "enum": set(),
    "struct": {"map"},
    "list": {"array"},
}


def state(client: Client) -> Any:
    """All that a refused call must leave as it was. Of the driver's numbers others have a part."""
    status = client.call("daemon.status")
    devices = [device["device"] for device in client.call("device.list")["devices"]]
    memories = [client.call("device.memory", device=device) for device in devices]
    return (
        [status[key] for key in ("sessions", "mems", "shms", "fds")],
        [[memory[key] for key in ("used", "available", "reserved")] for memory in memories],
        client.list_mems(),
    )


def cases(schema: Schema, objects: dict[str, str]) -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
    """(method, arguments, what the message must name) of calls that must be refused as INVALID_ARGUMENT."""
    for method in schema.methods:
        valid = schema.call(method, objects)
        yield method, valid | {"ofset": 1}, "ofset"
        for field in schema.arguments(method):
            key = field["name"]
            if field["required"]:
                yield method, {k: v for k, v in valid.items() if k != key}, key
            for kind, value in ANY_VALUES.items():
                if kind in TAKEN[field["kind"]] or (kind == "nil" and not field["required"]):
                    continue
                yield method, valid | {key: value}, key
            if field["max"] is not None:
                too_long = field["max"] + 1
                yield (
                    method,
                    valid | {key: b"x" * too_long if field["kind"] == "bin" else "x" * too_long},
                    key,
                )
            if field["kind"] == "str":
                yield method, valid | {key: "a\0b"}, key


def test_every_method_is_served(daemon: Daemon, client: Client) -> None:
    """A call with what its fields demand succeeds, and the result has the fields of its structure."""
    schema = Schema(client)
    for method in schema.methods:
        for way in ways_to_call(method):
            with daemon.connect() as other, objects_of(other) as (objects, region):
                arguments = schema.call(method, objects, way)
                try:
                    result = other.call(method["name"], [region.fd] * method["fds"], **arguments)
                except RpcError as error:
                    pytest.fail(
                        f"{method['name']} {arguments}: {error}. WAYS can say what its fields do not."
                    )
                schema.check(method["result"], result)


def test_ways_to_call_are_needed(client: Client) -> None:
    """A row of WAYS is about a method that there is, which takes none of its sets to be absent."""
    schema = Schema(client)
    methods = {m["name"]: m for m in schema.methods}
    with objects_of(client) as (objects, region):
        for name, ways in WAYS.items():
            assert name in methods, f"WAYS: there is no {name}"
            optional = {f["name"] for f in schema.arguments(methods[name]) if not f["required"]}
            assert all(way and set(way) <= optional for way in ways), (
                f"WAYS: {name} {ways}, not of {optional}"
            )
            arguments = schema.call(methods[name], objects, [])
            error = client.refusal(name, [region.fd] * methods[name]["fds"], **arguments)
            assert error.name == "INVALID_ARGUMENT", f"WAYS: {name}: {error}"


def test_every_method_refuses_what_it_does_not_take(daemon: Daemon, client: Client) -> None:
    schema = Schema(client)
    with objects_of(client) as (objects, region):
        client.call("mem.meta", mem=objects["mem"], meta=b"m")
        before = state(client)
        for method, arguments, named in cases(schema, objects):
            error = client.refusal(method["name"], [region.fd] * method["fds"], **arguments)
            assert error.name == "INVALID_ARGUMENT", (method, arguments, error)
            assert error.code == schema.errors["INVALID_ARGUMENT"]
            assert named in error.message, (method, arguments, error.message)
        assert state(client) == before


def test_objects_that_are_not_there(daemon: Daemon, client: Client) -> None:
    """A handle nobody has, one that was freed, one of another type, and another session's region, in every
    argument that names one."""
    schema = Schema(client)
    freed = client.alloc(64)
    client.free(freed)
    with daemon.connect() as other, objects_of(client) as (objects, region):
        mem, shm = objects["mem"], objects["shm"]
        wrong = {
            "mem": [STRANGER, freed, shm],
            "shm": [STRANGER, mem, other.register(region)],
            "device": ["vulkan:99", "", mem],
        }
        assert set(wrong) == set(objects)
        before = state(client)
        for of, values in wrong.items():
            for method, name in schema.arguments_that_name(of):
                for value in values:
                    arguments = schema.call_with(method, objects, name, value)
                    error = client.refusal(method["name"], [region.fd] * method["fds"], **arguments)
                    assert error.name == "NOT_FOUND", (method["name"], arguments, error)
        assert state(client) == before


def test_describe_is_whole(client: Client) -> None:
    schema = Schema(client)
    names = [m["name"] for m in schema.methods]
    assert len(names) == len(set(names))
    assert {"session.hello", "device.list", "mem.alloc", "shm.register", "daemon.describe"} <= set(names)
    for method in schema.methods:
        assert method["result"] == "none" or method["result"] in schema.structs
        assert method["args"] == "none" or method["args"] in schema.structs
        assert method["doc"]


def test_params_may_be_empty(client: Client) -> None:
    for params in ([], [{}], [None]):
        client.send(msgpack.packb([0, 9, "daemon.ping", params]))
        assert client.receive() == [1, 9, None, {}]


def test_unknown_method_is_a_reply(client: Client) -> None:
    for method in ("mem.nothing", "", "mem", "x" * 1000, "daemon.ping\0", "\u00e4.\u00f6"):
        assert client.refusal(method).name == "UNKNOWN_METHOD"
    assert "mem.nothing" in client.refusal("mem.nothing").message
    assert client.call("daemon.ping") == {}


def test_notification_gets_no_reply(client: Client) -> None:
    client.send(msgpack.packb([2, "daemon.ping", []]) + msgpack.packb([2, "no.such", []]))
    assert client.call("daemon.ping") == {}


def test_more_notifications_than_may_be_in_flight(client: Client) -> None:
    """They end without replies, and yet the connection goes on with what it kept back."""
    mem = client.alloc(65536)
    fill = msgpack.packb([2, "mem.fill", [{"mem": mem, "pattern": b"x"}]])
    client.send(fill * 1000)
    assert client.read(mem, 65536) == b"x" * 65536
    client.free(mem)


def test_msgid_is_echoed(client: Client) -> None:
    for msgid in (0, 1, 127, 128, 65535, 1 << 31, (1 << 32) - 1):
        client.send(msgpack.packb([0, msgid, "daemon.ping", []]))
        assert client.receive()[1] == msgid


def test_message_in_single_bytes(client: Client) -> None:
    for byte in msgpack.packb([0, 5, "session.hello", [{"client": "slow"}]]):
        client.send(bytes([byte]))
    assert client.receive()[2] is None


def test_pipelined_requests_are_all_answered(client: Client) -> None:
    """More than may be in flight, sent at once."""
    n = 5000
    client.send(b"".join(msgpack.packb([0, i, "daemon.ping", []]) for i in range(n)))
    assert sorted(client.receive()[1] for _ in range(n)) == list(range(n))


def test_reader_that_does_not_read(daemon: Daemon, client: Client) -> None:
    """Replies that nobody takes are bounded: gpud stops reading from that client, and serves the others."""
    mem = client.alloc(65536)
    request = msgpack.packb([0, 1, "mem.read", [{"mem": mem, "size": 65536}]])
    before = daemon.resident_bytes()
    with daemon.connect() as lazy:
        shared = client.call("mem.chmod", mem=mem, mode=0o644)
        assert shared["mode"] == 0o644
        lazy.socket.settimeout(1)
        n_sent = 0
        try:
            for _ in range(4000):
                lazy.send(request * 10)
                n_sent += 10
        except TimeoutError:
            pass
        assert client.call("daemon.ping") == {}
        # What it asked for would be far more.
        assert daemon.resident_bytes() - before < 64 << 20, n_sent
    client.free(mem)


INVALID_ENVELOPES = {
    "a number": 7,
    "a map": {"a": 1},
    "empty": [],
    "unknown type": [9, 1, "daemon.ping", []],
    "type is text": ["0", 1, "daemon.ping", []],
    "three elements": [0, 1, "daemon.ping"],
    "five elements": [0, 1, "daemon.ping", [], 1],
    "msgid is text": [0, "1", "daemon.ping", []],
    "msgid is negative": [0, -1, "daemon.ping", []],
    "msgid is too large": [0, 1 << 32, "daemon.ping", []],
    "method is a number": [0, 1, 5, []],
    "params is a map": [0, 1, "daemon.ping", {}],
    "two params": [0, 1, "daemon.ping", [{}, {}]],
    "a reply": [1, 1, None, {}],
}


@pytest.mark.parametrize("name", INVALID_ENVELOPES)
def test_envelope_that_is_none(daemon: Daemon, client: Client, name: str) -> None:
    """Answered with an error if it can be, and nobody else notices."""
    with daemon.connect() as bad:
        bad.send(msgpack.packb(INVALID_ENVELOPES[name]))
        try:
            kind, msgid, error, result = bad.receive()
        except Closed:
            pass
        else:
            assert (kind, result) == (1, None)
            assert msgid in (None, 1)
            assert error["name"] == "INVALID_ARGUMENT"
            assert error["message"]
    assert client.call("daemon.ping") == {}


def test_arguments_that_are_no_map(client: Client) -> None:
    for params in ([7], ["text"], [[]], [b"x"]):
        client.send(msgpack.packb([0, 3, "mem.list", params]))
        kind, msgid, error, _ = client.receive()
        assert (kind, msgid, error["name"]) == (1, 3, "INVALID_ARGUMENT")


FRAMING = {
    "8 GiB promised in 5 bytes": b"\xdd\x0f\xff\xff\xff",
    "map of 4 billion": b"\xdf\xff\xff\xff\xff",
    "bin of 4 GiB": b"\xc6\xff\xff\xff\xff",
    "str of 4 GiB": b"\xdb\xff\xff\xff\xff",
    "message over the limit": msgpack.packb([0, 1, "mem.meta", [{"mem": STRANGER, "meta": bytes(2 << 20)}]]),
    "nesting bomb": b"\x91" * 100000,
    "map nesting bomb": b"\x81\xa1a" * 100000,
    "arrays that multiply": b"\xdc\x00\x10" * 20,
    "many items": msgpack.packb([0, 1, "mem.list", [list(range(100000))]]),
    "reserved byte": b"\xc1",
    "extension type": b"\x94\x00\x01\xd4\x00\x00",
    "timestamp": msgpack.packb([0, 1, "daemon.ping", [{"a": msgpack.Timestamp(1)}]]),
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": bytes.fromhex("1603010200010001fc0303"),
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
}


@pytest.mark.parametrize("name", FRAMING)
def test_framing_that_is_broken(daemon: Daemon, client: Client, name: str) -> None:
    """An error reply if it can be, then the connection closes; memory is not reserved by what is promised."""
    before = daemon.resident_bytes()
    with daemon.connect(timeout=30) as bad:
        bad.send(msgpack.packb([0, 77, "daemon.ping", []]))
        assert bad.receive() == [1, 77, None, {}]
        try:
            bad.send(FRAMING[name])
            while True:
                message = bad.receive()
                assert message[2]["name"] == "INVALID_ARGUMENT"
                assert message[2]["message"]
        except (Closed, BrokenPipeError, ConnectionResetError):
            pass
    assert client.call("daemon.ping") == {}
    assert daemon.resident_bytes() - before < 16 << 20


def test_message_at_the_limit(client: Client) -> None:
    """Metadata of the largest size fits into a message; so does a message of exactly message_max."""
    limits = client.call("session.hello")["limits"]
    mem = client.alloc(1)
    meta = random.Random(1).randbytes(limits["meta_max"])
    client.call("mem.meta", mem=mem, meta=meta)
    assert client.call("mem.meta", mem=mem)["meta"] == meta

    def padded(n: int) -> bytes:
        return bytes(msgpack.packb([0, 1, "mem.meta", [{"mem": mem, "meta": bytes(n)}]]))

    room = limits["message_max"] - len(padded(limits["meta_max"])) + limits["meta_max"]
    message = padded(room)
    assert len(message) == limits["message_max"]
    client.send(message)
    kind, _, error, _ = client.receive()
    assert (kind, error["name"]) == (1, "INVALID_ARGUMENT")
    assert str(limits["meta_max"]) in error["message"]
    assert client.call("mem.meta", mem=mem)["meta"] == meta
    client.free(mem)


def test_half_a_message_and_silence(daemon: Daemon, client: Client) -> None:
    request = msgpack.packb([0, 1, "session.hello", [{"client": "half"}]])
    halves = [daemon.connect() for _ in range(20)]
    for i, half in enumerate(halves):
        half.send(request[: 1 + i % (len(request) - 1)])
    assert client.call("daemon.ping") == {}
    # The rest may still come.
    halves[0].send(request[1:])
    assert halves[0].receive()[2] is None
    for half in halves:
        half.close()


def test_half_closed_connection_still_gets_its_replies(client: Client) -> None:
    for i in range(10):
        client.send(msgpack.packb([0, i, "daemon.ping", []]))
    client.socket.shutdown(socket.SHUT_WR)
    assert sorted(client.receive()[1] for _ in range(10)) == list(range(10))
    with pytest.raises(Closed):
        client.receive()


def test_garbage(daemon: Daemon, client: Client) -> None:
    """Random bytes, and good messages with random bytes in them."""
    dice = random.Random(20261121)
    good = msgpack.packb([0, 1, "mem.alloc", [{"device": "vulkan:0", "size": 64, "name": "g", "meta": b"m"}]])
    for i in range(300):
        data = bytearray(good) if i % 2 else bytearray(dice.randbytes(dice.randrange(1, 200)))
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        with daemon.connect() as bad:
            bad.send(bytes(data))
    assert client.call("daemon.ping") == {}
    until(lambda: client.call("daemon.status")["sessions"] == 1)
    assert client.list_mems() == []


def test_credentials_cannot_be_forged(client: Client) -> None:
    """Ancillary data other than descriptors is not looked at."""
    credentials = struct.pack("3i", os.getpid(), os.getuid(), os.getgid())
    message = msgpack.packb([0, 1, "daemon.ping", []])
    client.socket.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)])
    assert client.receive() == [1, 1, None, {}]


def test_error_names_value_and_limit(client: Client) -> None:
    mem = client.alloc(8192)
    with pytest.raises(RpcError, match="offset 4096 \\+ size 8192 exceeds allocation size 8192") as caught:
        client.call("mem.read", mem=mem, offset=4096, size=8192)
    assert caught.value.name == "OUT_OF_RANGE"
    client.free(mem)
