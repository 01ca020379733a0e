"""The envelope of msgpack-RPC: requests to bytes, and bytes, in pieces of any size, to replies."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

import msgpack

from gpud._buffers import view_of
from gpud._errors import Error
from gpud._schema import ERRORS, InternalError, InvalidArgumentError

REQUEST = 0
RESPONSE = 1
NOTIFICATION = 2

# Far above the largest reply, a full page of mem.list or one allocation's metadata.
REPLY_MAX = 64 << 20
BUFFER_SIZE = 64 << 10


class FramingError(ValueError):
    """The bytes are no msgpack-RPC; what follows them cannot be read either."""


class Encoder:
    """Packs requests."""

    def __init__(self) -> None:
        self._packer = msgpack.Packer(use_bin_type=True, default=_to_plain)

    def request(self, msgid: int, method: str, args: Mapping[str, Any]) -> bytes:
        """One whole message. What the protocol has no form for is a TypeError."""
        try:
            packed: bytes = self._packer.pack((REQUEST, msgid, method, (args,)))
        except OverflowError:
            self._packer.reset()
            raise _beyond_64_bits(args) from None
        except BaseException:
            # What is half packed would go out in front of the next message.
            self._packer.reset()
            raise
        return packed


def _to_plain(value: Any) -> int | memoryview:
    """What msgpack has a form for: of an index, as numpy's integers are, the int; of a buffer, its bytes."""
    try:
        return operator.index(value)
    except TypeError:
        pass
    try:
        return view_of(value)
    except TypeError:
        kind = type(value).__qualname__
        raise TypeError(f"an argument is {value!r:.80}; {kind} has no form in the protocol") from None


def _beyond_64_bits(args: Mapping[str, Any]) -> InvalidArgumentError:
    is_beyond = (
        f"`{name}` is {value}, beyond 64 bits"
        for name, value in args.items()
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64
    )
    return InvalidArgumentError(next(is_beyond, "a number in the arguments is beyond 64 bits"))


class Decoder:
    """Cuts a stream of bytes into replies."""

    def __init__(self) -> None:
        # The buffer grows when a reply needs it; the default would take a megabyte for each connection.
        self._unpacker = msgpack.Unpacker(raw=False, read_size=BUFFER_SIZE, max_buffer_size=REPLY_MAX)

    def feed(self, data: bytes | memoryview) -> Iterator[tuple[int | None, Any, Any]]:
        """Every reply that `data` completes, as (msgid, error, result).

        The msgid is None where gpud could not tell which request it refuses; it hangs up next. Notifications
        are left out: nothing asks for them.
        """
        try:
            self._unpacker.feed(data)
            for message in self._unpacker:
                match message:
                    case [1, (int() | None) as msgid, error, result]:
                        yield msgid, error, result
                    case [2, str(), list()]:
                        pass
                    case _:
                        raise FramingError(f"not a reply: {message!r:.80}")
        except (ValueError, msgpack.UnpackException) as error:
            raise FramingError(f"gpud sent what is no msgpack-RPC: {error}") from error


def error_from_wire(wire: Any) -> Error:
    """The exception that a reply's error stands for."""
    if not isinstance(wire, dict):
        return InternalError(f"gpud replied with an error that is not understood: {wire!r:.200}")
    code = wire.get("code")
    kind = ERRORS.get(code, Error) if isinstance(code, int) else Error
    error = kind(str(wire.get("message")), hint=wire.get("hint"))
    if kind is Error and isinstance(code, int):
        # An error of a newer protocol.
        error.code = code
        error.name = str(wire.get("name"))
    return error
