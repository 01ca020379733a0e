"""The protocol as gpud describes it, and calls that derive from it: what a method's fields say is enough to
call it. What only its prose says is in WAYS."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from rpc import Client, Region, RpcError

STRANGER = "01234567-89ab-4def-8123-456789abcdef"
"""a handle that nothing has"""

VALUES = {
    "bool": True,
    "u64": 1,
    "f64": 1.0,
    "str": "x",
    "bin": b"x",
    "uuid": STRANGER,
    "mode": 0o600,
    "duration_s": 60,
    "uid": os.getuid(),
    "gid": os.getgid(),
}
"""a value for each kind; where a number of some format must be another one, for that format"""

TYPES = {"bool": bool, "u64": int, "f64": float, "str": str, "bin": bytes, "uuid": str}

WAYS = {
    "mem.open": [["mem"], ["device", "name"]],
    "mem.write": [["data"], ["shm", "size"]],
}
"""optional arguments of which a method wants one set or another all the same"""


class Schema:
    def __init__(self, client: Client) -> None:
        described = client.call("daemon.describe")
        self.methods: list[dict[str, Any]] = described["methods"]
        self.structs = {s["name"]: s["fields"] for s in described["structs"]}
        self.enums = {e["name"]: [v["name"] for v in e["values"]] for e in described["enums"]}
        self.errors = {row["name"]: row["code"] for row in described["errors"]}

    def arguments(self, method: dict[str, Any]) -> list[dict[str, Any]]:
        fields: list[dict[str, Any]] = self.structs.get(method["args"], [])
        return fields

    def arguments_that_name(self, of: str) -> Iterator[tuple[dict[str, Any], str]]:
        """Each method and argument that takes such an object."""
        for method in self.methods:
            for field in self.arguments(method):
                if field["of"] == of:
                    yield method, field["name"]

    def call(
        self, method: dict[str, Any], objects: dict[str, str], way: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Arguments with which nothing is wrong: the required ones and those of the way, or the first."""
        if way is None:
            way = ways_to_call(method)[0]
        fields = self.arguments(method)
        return {f["name"]: self._value(f, objects) for f in fields if f["required"] or f["name"] in way}

    def call_with(
        self, method: dict[str, Any], objects: dict[str, str], name: str, value: Any
    ) -> dict[str, Any]:
        """Such arguments, this one among them."""
        way = next((way for way in ways_to_call(method) if name in way), None)
        return self.call(method, objects, way) | {name: value}

    def _value(self, field: dict[str, Any], objects: dict[str, str]) -> Any:
        kind, of = field["kind"], field["of"]
        if kind == "enum":
            return self.enums[of][0]
        if kind in ("struct", "list"):
            value = {f["name"]: self._value(f, objects) for f in self.structs[of] if f["required"]}
            return [value] if kind == "list" else value
        if of is not None:
            assert of in objects, f"{field['name']} takes a {of}: let objects_of() make one"
            return objects[of]
        return VALUES.get(field["format"], VALUES[kind])

    def check(self, name: str, value: dict[str, Any]) -> None:
        """That it is such a structure: each field is there, of its kind, and only an optional one nil."""
        fields = {f["name"]: f for f in self.structs.get(name, [])}
        assert set(value) == set(fields), name
        for key, field in fields.items():
            item, where = value[key], f"{name}.{key}"
            if item is None:
                assert not field["required"], where
            elif field["kind"] == "struct":
                self.check(field["of"], item)
            elif field["kind"] == "list":
                for each in item:
                    self.check(field["of"], each)
            elif field["kind"] == "enum":
                assert item in self.enums[field["of"]], where
            else:
                assert type(item) is TYPES[field["kind"]], where


def ways_to_call(method: dict[str, Any]) -> list[list[str]]:
    return WAYS.get(method["name"], [[]])


@contextmanager
def objects_of(client: Client) -> Iterator[tuple[dict[str, str], Region]]:
    """One object of each kind that an argument can name, by kind, and the region that is one of them, whose
    descriptor also travels with what takes one. The allocation is such that every method takes it: it has the
    name that calls derive, and is persistent, so that it has a lease to renew."""
    with Region(4096) as region:
        objects = {
            "device": "vulkan:0",
            "shm": client.register(region),
            "mem": client.alloc(4096, name=VALUES["str"], lifetime="persistent"),
        }
        try:
            yield objects, region
        finally:
            # Unless the test did it itself.
            with suppress(RpcError):
                client.free(objects["mem"])
            with suppress(RpcError):
                client.call("shm.release", shm=objects["shm"])
