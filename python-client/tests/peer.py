"""The other end of a client's socket, to do what a gpud in good health never does: reply late, out of order,
wrongly, or not at all."""

from __future__ import annotations

import array
import asyncio
import contextlib
import gc
import mmap
import os
import socket
import uuid
from dataclasses import fields
from typing import Any, NamedTuple, Self

import msgpack

from gpud import Client, Limits, SessionHelloResult, limits
from gpud._connection import Connection

LIMITS = Limits(**{field.name: getattr(limits, field.name.upper(), 1 << 40) for field in fields(Limits)})
"""the ones that are said once, and of those that are configured enough"""
HELLO = SessionHelloResult(
    session=str(uuid.UUID(int=1)),
    token="secret",
    server="peer 0",
    protocol=1,
    limits=LIMITS,
    uid=os.getuid(),
    gid=os.getgid(),
    is_admin=False,
)
DEVICE = "vulkan:0"


def open_descriptors() -> set[tuple[str, str]]:
    """Those of this process, with what they are: what earlier tests left as garbage is not among them, since
    its end at some later time must not look like this test's doing."""
    gc.collect()
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        # The one that lists the directory is closed by now.
        with contextlib.suppress(FileNotFoundError):
            found.add((fd, os.readlink(f"/proc/self/fd/{fd}")))
    return found


class Request(NamedTuple):
    msgid: int
    method: str
    args: dict[str, Any]
    fds: list[int]


class Peer:
    """Gives requests to the test, which replies or does not. Closes what nobody took."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for sock in ours, self.theirs:
            sock.setblocking(False)
        self.sock = ours
        self.connection = Connection(self.theirs)
        self.client = Client(self.connection, HELLO)
        self.requests: asyncio.Queue[Request] = asyncio.Queue()
        self._fds: list[int] = []
        self._unpacker = msgpack.Unpacker()
        self._loop = asyncio.get_running_loop()
        self.listen()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        self.hang_up()

    def listen(self) -> None:
        self._loop.add_reader(self.sock, self._on_readable)

    def ignore(self) -> None:
        """Reads nothing for now."""
        self._loop.remove_reader(self.sock)

    def hang_up(self) -> None:
        if self.sock.fileno() >= 0:
            self.ignore()
            self.sock.close()
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def _on_readable(self) -> None:
        try:
            data, ancillary, _, _ = self.sock.recvmsg(1 << 20, socket.CMSG_SPACE(64), socket.MSG_CMSG_CLOEXEC)
        except OSError:
            data, ancillary = b"", []
        for _, _, payload in ancillary:
            self._fds += array.array("i", payload)
        if not data:
            self.hang_up()
            return
        self._unpacker.feed(data)
        for kind, msgid, method, params in self._unpacker:
            assert kind == 0
            fds = [self._fds.pop(0)] if method == "shm.register" else []
            self.on_request(Request(msgid, method, params[0], fds))

    def on_request(self, request: Request) -> None:
        self.requests.put_nowait(request)

    async def request(self, method: str | None = None) -> Request:
        """The next request, which is to be of `method`."""
        request = await asyncio.wait_for(self.requests.get(), 10)
        assert method in (None, request.method)
        return request

    def reply(self, request: Request, result: Any = None) -> None:
        self.send([1, request.msgid, None, {} if result is None else result])

    def refuse(self, request: Request, code: int, message: str) -> None:
        self.send([1, request.msgid, {"code": code, "name": "X", "message": message, "hint": "try"}, None])

    def send(self, message: Any) -> None:
        # A client that has hung up may have left requests behind.
        with contextlib.suppress(BrokenPipeError):
            self.sock.send(msgpack.packb(message))


class Store(Peer):
    """Keeps the bytes of allocations, so that an arena has something to talk to. What `held` names, a reply
    waits for `let_go()`: the copy takes place only then, as DMA would."""

    def __init__(self) -> None:
        super().__init__()
        self.mems: dict[str, bytearray] = {}
        self.refs: dict[str, int] = {}
        self.shms: dict[str, mmap.mmap] = {}
        self.held: set[str] = set()
        self.late: list[Request] = []
        self.busy: dict[str, int] = {}

    def on_request(self, request: Request) -> None:
        shm = request.args.get("shm")
        if shm is not None and request.method != "shm.release":
            self.busy[shm] = self.busy.get(shm, 0) + 1
            assert self.busy[shm] == 1, "a slot is in two copies at once"
        if request.method in self.held:
            self.late.append(request)
            self.requests.put_nowait(request)
        else:
            self.serve(request)

    def let_go(self) -> None:
        late, self.late = self.late, []
        for request in late:
            self.serve(request)

    def serve(self, request: Request) -> None:
        if (shm := request.args.get("shm")) in self.busy:
            self.busy[shm] -= 1
        name = request.method.replace(".", "_")
        self.reply(request, getattr(self, name)(*request.fds, **request.args))

    def shm_register(self, fd: int, size: int) -> dict[str, Any]:
        shm = str(uuid.uuid4())
        self.shms[shm] = mmap.mmap(fd, size)
        os.close(fd)
        return {"shm": shm, "imported": True}

    def shm_release(self, shm: str) -> None:
        del self.shms[shm]

    def mem_alloc(self, device: str, size: int) -> dict[str, Any]:
        mem = str(uuid.uuid4())
        self.mems[mem] = bytearray(size)
        self.refs[mem] = 1
        return info(mem, size)

    def mem_info(self, mem: str) -> dict[str, Any]:
        return info(mem, len(self.mems[mem]))

    def mem_open(self, mem: str) -> dict[str, Any]:
        self.refs[mem] += 1
        return self.mem_info(mem)

    def mem_close(self, mem: str) -> None:
        self.refs[mem] -= 1
        if self.refs[mem] == 0:
            del self.mems[mem]

    def mem_free(self, mem: str) -> None:
        del self.mems[mem]

    def mem_write(
        self,
        mem: str,
        offset: int = 0,
        data: bytes | None = None,
        shm: str | None = None,
        shm_offset: int = 0,
        size: int = 0,
    ) -> None:
        source = data if shm is None else memoryview(self.shms[shm])[shm_offset : shm_offset + size]
        assert source is not None
        assert offset + len(source) <= len(self.mems[mem])
        memoryview(self.mems[mem])[offset : offset + len(source)] = source

    def mem_read(
        self, mem: str, size: int, offset: int = 0, shm: str | None = None, shm_offset: int = 0
    ) -> dict[str, Any]:
        source = memoryview(self.mems[mem])[offset : offset + size]
        assert len(source) == size
        if shm is None:
            return {"data": bytes(source)}
        memoryview(self.shms[shm])[shm_offset : shm_offset + size] = source
        return {"data": None}

    def mem_copy(self, src: str, dst: str, size: int, src_offset: int = 0, dst_offset: int = 0) -> None:
        data = self.mems[src][src_offset : src_offset + size]
        self.mems[dst][dst_offset : dst_offset + size] = data

    def mem_fill(self, mem: str, pattern: bytes, offset: int = 0, size: int = 0) -> None:
        self.mems[mem][offset : offset + size] = pattern * (size // len(pattern))


def info(mem: str, size: int, **changed: Any) -> dict[str, Any]:
    """A mem info as it comes over the wire."""
    return {
        "mem": mem,
        "device": DEVICE,
        "size": size,
        "name": None,
        "uid": 0,
        "gid": 0,
        "mode": 0o600,
        "lifetime": "session",
        "expires_ns": None,
        "sealed": False,
        "exportable": False,
        "created_ns": 1,
        "refs": 1,
        "meta_size": 0,
        "pid": None,
        "comm": None,
        **changed,
    }
