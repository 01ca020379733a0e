"""Writes the corpus: one input per method, a call with all arguments and the reply to it, and one per way to
be wrong. `seed.py --check` names what is not as it would write it.

The first byte of an input chooses how fuzz-scan cuts it. Then messages follow as on a connection, where the
method of a reply is that of its call. The methods come from proto/methods.def: like all that derives from it,
this is a view, expanded by the C preprocessor."""

import ast
import pathlib
import subprocess
import sys
from typing import Any

import msgpack

ROOT = pathlib.Path(__file__).parents[2]
CORPUS = ROOT / "tests/fuzz/corpus"

MEM = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"

OTHERS = {
    "notification": msgpack.packb([2, "daemon.ping", []]),
    "nil-arguments": msgpack.packb([0, 1, "mem.rename", [{"mem": MEM, "name": None}]]),
    "no-params": msgpack.packb([0, 2, "session.list", []]),
    "reply-newer": msgpack.packb([0, 3, "session.list", []])
    + msgpack.packb([1, 3, None, {"sessions": [], "kinds": [{"a": [None, b"b"]}, 1.5]}]),
    "reply-error": msgpack.packb([1, 4, {"code": 2, "name": "NOT_FOUND", "message": "no", "hint": ""}, None]),
    "unknown-method": msgpack.packb([0, 5, "mem.nothing", [{}]]),
    "unknown-argument": msgpack.packb([0, 6, "mem.free", [{"mem": MEM, "ofset": 1}]]),
    "mistyped": msgpack.packb([0, 7, "mem.alloc", [{"device": 1, "size": -1}]]),
    "wide-msgid": b"\x94\x00\xce\xff\xff\xff\xff\xabdaemon.ping\x90",
    "float": msgpack.packb([0, 8, "mem.alloc", [{"device": "vulkan:0", "size": 1.5}]]),
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

VALUES = {"BOOL": True, "U64": 7, "F64": 0.5, "STR": "t\u00e4xt", "BIN": b"\0\1", "UUID": MEM}
"""by what a kind is on the wire; small enough for any bound"""

WIDE = VALUES | {"U64": 1 << 40}
"""for results, whose numbers have none"""

VIEW = """
#define KIND(NAME_, WIRE_, type_, argument_, PRESENCE_, OBJECT_, max_, format_) ("KIND", #NAME_, #WIRE_),
#include "proto/kinds.def"
#include "proto/view.h"
#define VALUE(enum_, NAME_, text_, doc_) ("VALUE", #enum_, text_),
#define STRUCT(name_, doc_) ("STRUCT", #name_),
#define FIELD(struct_, name_, kind_, need_, doc_) ("FIELD", #struct_, #name_, #kind_),
#define CHOICE(struct_, name_, enum_, need_, doc_) ("CHOICE", #struct_, #name_, #enum_),
#define EMBED(struct_, name_, other_, doc_) ("EMBED", #struct_, #name_, #other_),
#define LIST(struct_, name_, other_, doc_) ("LIST", #struct_, #name_, #other_),
#define METHOD(noun_, verb_, args_, result_, ...) ("METHOD", #noun_ "." #verb_, #args_, #result_),
#include "proto/rows.h"
#include "proto/methods.def"
"""
"""the rows as Python tuples"""

Rows = list[tuple[str, ...]]


def read_rows() -> Rows:
    words = ["cc", "-std=c17", "-E", "-P", "-I", ROOT, "-x", "c", "-"]
    text = subprocess.run(words, input=VIEW, stdout=subprocess.PIPE, text=True, check=True).stdout
    rows: Rows = ast.literal_eval(f"[{text}]")
    return rows


def fill(rows: Rows, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each structure, with all its fields."""
    structs: dict[str, dict[str, Any]] = {"none": {}}
    kinds: dict[str, Any] = {}
    enums: dict[str, str] = {}
    for row, name, *rest in rows:
        if row == "KIND":
            kinds[name] = values[rest[0]]
        elif row == "VALUE":
            enums[name] = rest[0]
        elif row == "STRUCT":
            structs[name] = {}
        elif row == "FIELD":
            structs[name][rest[0]] = kinds[rest[1]]
        elif row == "CHOICE":
            structs[name][rest[0]] = enums[rest[1]]
        elif row == "EMBED":
            structs[name][rest[0]] = structs[rest[1]]
        elif row == "LIST":
            structs[name][rest[0]] = 2 * [structs[rest[1]]]
    return structs


def make() -> dict[str, bytes]:
    """The corpus: messages by the name of their file."""
    rows = read_rows()
    arguments, results = fill(rows, VALUES), fill(rows, WIDE)
    corpus = dict(OTHERS)
    for row, *rest in rows:
        if row == "METHOD":
            method, args, result = rest
            call = msgpack.packb([0, 1, method, [arguments[args]]])
            corpus[method] = call + msgpack.packb([1, 1, None, results[result]])
    # One byte at a time, as far as fuzz-scan is concerned.
    return {name: b"\0" + messages for name, messages in corpus.items()}


def main() -> int:
    corpus = make()
    there = {path.name: path for path in CORPUS.iterdir()}
    stale = [name for name in corpus if name not in there or there[name].read_bytes() != corpus[name]]
    stale += sorted(there.keys() - corpus.keys())
    if sys.argv[1:] == ["--check"]:
        for name in stale:
            print(f"tests/fuzz/corpus/{name} is not what tests/fuzz/seed.py writes: run that, commit it")
        return len(stale) > 0
    for name in stale:
        if name in corpus:
            (CORPUS / name).write_bytes(corpus[name])
        else:
            there[name].unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
