"""A small msgpack-RPC client for the tests: blocking, pipelining, passes descriptors, and sends whatever
bytes it is told to. It shares nothing with the package `gpud`, so that what both get wrong is not hidden."""

import contextlib
import fcntl
import mmap
import os
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgpack

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


class RpcError(Exception):
    def __init__(self, error: Any) -> None:
        super().__init__(f"{error['name']}: {error['message']}")
        self.code: int = error["code"]
        self.name: str = error["name"]
        self.message: str = error["message"]
        self.hint: str = error["hint"]


class Closed(Exception):
    """gpud closed the connection."""


class Client:
    def __init__(self, path: str, timeout: float = 120) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.connect(path)
        except BaseException:
            connection.close()
            raise
        self.adopt(connection)

    def adopt(self, connection: socket.socket) -> None:
        """Speaks over a socket that is connected already."""
        self.socket = connection
        self.unpacker = msgpack.Unpacker(raw=False, max_buffer_size=1 << 26)
        self.next_id = 0
        self.replies: dict[int | None, tuple[Any, Any]] = {}

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Sends bytes as they are; the descriptors travel with the first of them."""
        view = memoryview(data)
        n = socket.send_fds(self.socket, [view], list(fds)) if fds else 0
        self.socket.sendall(view[n:])

    def submit(self, method: str, arguments: Any = None, fds: Sequence[int] = ()) -> int:
        self.next_id += 1
        params = [] if arguments is None else [arguments]
        self.send(msgpack.packb([0, self.next_id, method, params]), fds)
        return self.next_id

    def receive(self) -> Any:
        """The next message, whatever it is."""
        while True:
            for message in self.unpacker:
                return message
            data = self.socket.recv(1 << 16)
            if not data:
                raise Closed
            self.unpacker.feed(data)

    def wait(self, msgid: int | None) -> Any:
        """The result of a request; replies to others that come before it are kept."""
        while msgid not in self.replies:
            kind, reply_id, error, result = self.receive()
            assert kind == 1
            self.replies[reply_id] = (error, result)
        error, result = self.replies.pop(msgid)
        if error is not None:
            assert result is None
            raise RpcError(error)
        return result

    def call(self, method: str, fds: Sequence[int] = (), /, **arguments: Any) -> Any:
        return self.wait(self.submit(method, arguments or None, fds))

    def refusal(self, method: str, fds: Sequence[int] = (), /, **arguments: Any) -> RpcError:
        """The error of a call that must fail."""
        try:
            result = self.call(method, fds, **arguments)
        except RpcError as error:
            assert error.message and error.hint
            return error
        raise AssertionError(f"{method} {arguments} succeeded: {result}")

    # Words that the tests use often.

    def alloc(self, size: int, device: str = "vulkan:0", **arguments: Any) -> str:
        mem: str = self.call("mem.alloc", device=device, size=size, **arguments)["mem"]
        return mem

    def free(self, *mems: str) -> None:
        for mem in mems:
            assert self.call("mem.free", mem=mem) == {}

    def read(self, mem: str, size: int, offset: int = 0) -> bytes:
        """Inline, in as many messages as it takes."""
        parts = []
        end = offset + size
        while offset < end:
            n = min(65536, end - offset)
            parts.append(self.call("mem.read", mem=mem, offset=offset, size=n)["data"])
            assert len(parts[-1]) == n
            offset += n
        return b"".join(parts)

    def write(self, mem: str, data: bytes, offset: int = 0) -> None:
        for i in range(0, len(data), 65536):
            self.call("mem.write", mem=mem, offset=offset + i, data=data[i : i + 65536])

    def register(self, region: "Region") -> str:
        shm: str = self.call("shm.register", [region.fd], size=region.size)["shm"]
        return shm

    def list_all(self, noun: str, **arguments: Any) -> list[dict[str, Any]]:
        """What mem.list or session.list shows, page by page."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = self.call(f"{noun}.list", cursor=cursor, **arguments)
            found += page[f"{noun}s"]
            cursor = page["next"]
            if cursor is None:
                return found

    def list_mems(self, **arguments: Any) -> list[dict[str, Any]]:
        return self.list_all("mem", **arguments)

    def list_sessions(self, **arguments: Any) -> list[dict[str, Any]]:
        return self.list_all("session", **arguments)


class Region:
    """A memfd as gpud wants it: sealed against shrinking and growing."""

    def __init__(self, size: int, seals: int = SEALS) -> None:
        self.size = size
        self.fd = os.memfd_create("gpud-test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)
        self.map = mmap.mmap(self.fd, size)

    def close(self) -> None:
        self.map.close()
        os.close(self.fd)

    def __enter__(self) -> "Region":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def registered(client: Client, size: int) -> Iterator[tuple[Region, str]]:
    """A region and its handle, for the length of a block."""
    with Region(size) as region:
        shm = client.register(region)
        yield region, shm
        assert client.call("shm.release", shm=shm) == {}


def until(condition: Any, seconds: float = 30) -> Any:
    """Waits for what another process does on its own; returns the condition's true value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.01)
