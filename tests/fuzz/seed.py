"""Writes the corpus: `seed.py`, from the root of the tree. One input per method with arguments it takes, one
with its result, and one per way to be wrong. The first byte of each is the fuzzers' own choice, in a reply
the number of its method; then comes the message."""

import pathlib
import re
from typing import Any

import msgpack

MEM = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
DEVICE = "vulkan:0"

CALLS = {
    "session.hello": {"client": "fuzz", "token": "t"},
    "session.list": None,
    "device.list": None,
    "device.info": {"device": DEVICE},
    "device.memory": {"device": DEVICE},
    "device.telemetry": {"device": DEVICE},
    "device.sync": {"device": DEVICE},
    "mem.alloc": {
        "device": DEVICE,
        "size": 1 << 33,
        "name": "weights/\u00e4",
        "mode": 0o640,
        "lifetime": "persistent",
        "ttl_s": 60,
        "exportable": True,
        "meta": b"\0\1",
    },
    "mem.open": {"device": DEVICE, "name": "weights", "uid": 1000},
    "mem.free": {"mem": MEM},
    "mem.info": {"mem": MEM},
    "mem.list": {"device": DEVICE, "uid": 0, "session": MEM, "name_prefix": "w", "cursor": 1000},
    "mem.write": {"mem": MEM, "offset": 7, "data": b"bytes"},
    "mem.read": {"mem": MEM, "offset": 0, "size": 1 << 20, "shm": MEM, "shm_offset": 4096},
    "mem.copy": {"src": MEM, "dst": MEM, "size": 3, "src_offset": 1, "dst_offset": 2},
    "mem.fill": {"mem": MEM, "offset": 1, "size": 99, "pattern": b"\xab\xcd"},
    "mem.meta": {"mem": MEM, "meta": b""},
    "mem.rename": {"mem": MEM, "name": None},
    "mem.persist": {"mem": MEM},
    "mem.seal": {"mem": MEM},
    "mem.chmod": {"mem": MEM, "mode": 0o600},
    "mem.renew": {"mem": MEM, "ttl_s": 1},
    "shm.register": {"size": 65536},
    "shm.release": {"shm": MEM},
    "daemon.ping": None,
    "daemon.status": None,
    "daemon.describe": None,
}

OTHERS = {
    "notification": msgpack.packb([2, "daemon.ping", []]),
    "reply-newer": msgpack.packb([1, 3, None, {"sessions": [], "kinds": [{"a": [None, b"b"]}, 1.5]}]),
    "reply-error": msgpack.packb([1, 4, {"code": 2, "name": "NOT_FOUND", "message": "no", "hint": ""}, None]),
    "unknown-method": msgpack.packb([0, 5, "mem.nothing", [{}]]),
    "unknown-argument": msgpack.packb([0, 6, "mem.free", [{"mem": MEM, "ofset": 1}]]),
    "mistyped": msgpack.packb([0, 7, "mem.alloc", [{"device": 1, "size": -1}]]),
    "wide-msgid": b"\x94\x00\xce\xff\xff\xff\xff\xabdaemon.ping\x90",
    "float": msgpack.packb([0, 8, "mem.alloc", [{"device": DEVICE, "size": 1.5}]]),
    "map-keys": msgpack.packb([0, 9, "mem.free", [{1: 2, None: 3}]]),
    "promised-8-gib": b"\xdd\x0f\xff\xff\xff",
    "promised-map": b"\xdf\xff\xff\xff\xff",
    "promised-bin": b"\xc6\xff\xff\xff\xff",
    "nested": b"\x91" * 64,
    "reserved": b"\x94\x00\x01\xc1",
    "extension": b"\x94\x00\x01\xd4\x01\x02",
    "half": msgpack.packb([0, 10, "daemon.status", []])[:9],
    "too-long": msgpack.packb([0, 11, "session.hello", [{"client": 65 * "c"}]]),
}


METHODS_DEF = pathlib.Path(__file__).parents[2] / "proto/methods.def"
VALUES = {"BOOL": True, "U64": 1 << 40, "F64": 0.5, "STR": "text", "BIN": b"bytes", "UUID": MEM}


def read_results() -> dict[str, Any]:
    """A full result of every method, in the order of methods.def."""
    structs: dict[str, dict[str, Any]] = {"none": {}}
    enums: dict[str, str] = {}
    results = {}
    for row, arguments in re.findall(r"^([A-Z]+)\((.*)\)$", METHODS_DEF.read_text(), re.MULTILINE):
        name, *rest = [each.strip(' "') for each in arguments.split(",")]
        if row == "VALUE":
            enums.setdefault(name, rest[1])
        elif row == "STRUCT":
            structs[name] = {}
        elif row in ("FIELD", "BOUNDED"):
            structs[name][rest[0]] = VALUES.get(rest[1])
        elif row == "CHOICE":
            structs[name][rest[0]] = enums[rest[1]]
        elif row == "EMBED":
            structs[name][rest[0]] = structs[rest[1]]
        elif row == "LIST":
            structs[name][rest[0]] = 2 * [structs[rest[1]]]
        elif row == "METHOD":
            results[f"{name}.{rest[0]}"] = structs[rest[2]]
    return results


def main() -> None:
    corpus = pathlib.Path(__file__).parent / "corpus"
    corpus.mkdir(exist_ok=True)
    for i, (method, arguments) in enumerate(CALLS.items()):
        params = [] if arguments is None else [arguments]
        message = msgpack.packb([0, i, method, params], use_bin_type=True)
        (corpus / method).write_bytes(bytes([i]) + message)
    for i, (method, result) in enumerate(read_results().items()):
        message = msgpack.packb([1, i, None, result], use_bin_type=True)
        (corpus / f"{method}-result").write_bytes(bytes([i]) + message)
    for i, (name, message) in enumerate(OTHERS.items()):
        (corpus / name).write_bytes(bytes([i]) + message)


if __name__ == "__main__":
    main()
