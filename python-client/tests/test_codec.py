"""The stream of replies, cut anywhere, and what does not belong into it."""

from __future__ import annotations

import itertools

import msgpack
import numpy as np
import pytest

import gpud
from gpud._codec import Decoder, Encoder, FramingError, error_from_wire

REPLIES = [
    (1, None, {"data": b"\x00" * 300}),
    (2, {"code": 2}, None),
    (4294967295, None, None),
    (None, {"code": 1}, None),
]


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_replies_come_whole_however_the_bytes_are_cut(step: int) -> None:
    stream = b"".join(msgpack.packb([1, *reply]) for reply in REPLIES)
    decoder = Decoder()
    replies = [r for i in range(0, len(stream), step) for r in decoder.feed(stream[i : i + step])]
    assert replies == REPLIES


def test_notifications_are_left_out() -> None:
    stream = msgpack.packb([2, "event", [{"kind": "alloc"}]]) + msgpack.packb([1, 5, None, {}])
    assert list(Decoder().feed(stream)) == [(5, None, {})]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xc1",
        b"GET / HTTP/1.0\r\n\r\n",
        msgpack.packb([0, 1, "ping", []]),
        msgpack.packb([1, 2]),
        msgpack.packb([1, "one", None, None]),
        msgpack.packb({"a": 1}),
        msgpack.packb([1, 1, None, "\udcff".encode("utf-8", "surrogatepass").decode("latin-1")])[:-1]
        + b"\xff",
        b"\x94\x01\x01\xc0\xa1\xff",
        b"\x94\x01\x01\xc0\xdf\xff\xff\xff\xff" + b"\x01\x01" * 8 + b"\xc1",
    ],
)
def test_what_is_no_reply_breaks_the_stream(garbage: bytes) -> None:
    with pytest.raises(FramingError):
        list(Decoder().feed(garbage))


def test_a_reply_beyond_all_limits_breaks_the_stream() -> None:
    decoder = Decoder()
    chunk = b"\x00" * (1 << 20)
    stream = itertools.chain([b"\x94\x01\x01\xc0\xc6\x7f\xff\xff\xff"], itertools.repeat(chunk, 100))
    with pytest.raises(FramingError):
        _ = [list(decoder.feed(data)) for data in stream]


def test_request_is_msgpack_rpc_with_one_map() -> None:
    packed = Encoder().request(7, "mem.info", {"mem": "x", "data": memoryview(b"ab")})
    assert msgpack.unpackb(packed) == [0, 7, "mem.info", [{"mem": "x", "data": b"ab"}]]


def test_what_cannot_be_packed_leaves_nothing_behind() -> None:
    encoder = Encoder()
    with pytest.raises(TypeError):
        encoder.request(1, "mem.info", {"mem": object()})
    assert msgpack.unpackb(encoder.request(2, "x", {})) == [0, 2, "x", [{}]]


@pytest.mark.parametrize("value", [1 << 64, -(1 << 63) - 1])
def test_number_beyond_64_bits_is_named(value: int) -> None:
    encoder = Encoder()
    with pytest.raises(gpud.InvalidArgumentError, match=f"`size` is {value}, beyond 64 bits"):
        encoder.request(1, "mem.alloc", {"name": "a" * 100, "size": value})
    with pytest.raises(gpud.InvalidArgumentError, match="beyond"):
        encoder.request(1, "mem.alloc", {"name": [value]})
    assert encoder.request(2, "a", {}) == Encoder().request(2, "a", {})


def test_every_error_is_a_class_and_a_built_in_one() -> None:
    bases = {
        gpud.InvalidArgumentError: ValueError,
        gpud.NotFoundError: LookupError,
        gpud.PermissionDeniedError: PermissionError,
        gpud.OutOfMemoryError: MemoryError,
        gpud.ConnectionLostError: ConnectionError,
    }
    for code, kind in gpud._schema.ERRORS.items():
        error = error_from_wire({"code": code, "name": kind.name, "message": "what and why", "hint": "do"})
        assert type(error) is kind
        assert isinstance(error, gpud.Error)
        assert isinstance(error, bases.get(kind, Exception))
        assert (str(error), error.code, error.hint) == ("what and why", code, "do")
        assert error.__notes__ == ["hint: do"]


def test_error_of_a_newer_protocol_and_no_error_at_all() -> None:
    error = error_from_wire({"code": 999, "name": "TOO_NEW", "message": "m", "hint": "h", "more": 1})
    assert type(error) is gpud.Error
    assert (error.code, error.name, str(error)) == (999, "TOO_NEW", "m")
    assert isinstance(error_from_wire("boom"), gpud.InternalError)
    assert isinstance(error_from_wire([1, 2]), gpud.InternalError)


def test_results_ignore_unknown_keys_and_lack_optional_ones() -> None:
    result = gpud.MemListResult.from_wire({"mems": [], "new": 1})
    assert result == gpud.MemListResult(mems=(), next=None)


def test_arguments_of_numpy_are_plain_ones() -> None:
    array = np.arange(6, dtype="i4").reshape(2, 3)
    args = {
        "size": np.int64(7),
        "offset": np.uint8(255),
        "n": np.array(5),
        "meta": array,
        "pattern": np.float32(1),
    }
    packed = Encoder().request(1, "some.method", args)
    assert msgpack.unpackb(packed) == [
        *(0, 1, "some.method"),
        [{"size": 7, "offset": 255, "n": 5, "meta": array.tobytes(), "pattern": b"\0\0\x80\x3f"}],
    ]
    with pytest.raises(gpud.InvalidArgumentError, match="beyond 64 bits"):
        Encoder().request(1, "some.method", {"size": 1 << 64})
    with pytest.raises(TypeError, match=r"an argument is \{1\}; set has no form"):
        Encoder().request(1, "some.method", {"size": {1}})
    with pytest.raises(gpud.InvalidArgumentError, match="not C-contiguous"):
        Encoder().request(1, "some.method", {"meta": array.T})
