"""One connection to gpud: its socket, and the requests that wait for their replies.

Own socket handling, since asyncio's streams lose file descriptors. Everything here runs on the thread of the
event loop that opened the connection.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import itertools
import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from gpud._codec import Decoder, Encoder, FramingError, error_from_wire
from gpud._outbox import Outbox
from gpud._schema import ConnectionLostError

READ_SIZE = 64 << 10
# A caller waits while more than this is queued: what gpud does not read must not fill our memory.
QUEUED_MAX = 1 << 20
# Room for as many descriptors as the kernel puts into one message.
ANCILLARY_SIZE = socket.CMSG_SPACE(253 * array.array("i").itemsize)
# A Unix socket whose backlog is full refuses at once and cannot be waited for.
CONNECT_RETRY_S = 0.005
CONNECT_TIMEOUT_S = 10.0


class Connection:
    """Owns the socket. Ends once, by close() or by the peer, and then fails every request that waits."""

    def __init__(self, sock: socket.socket) -> None:
        """Takes over a connected, non-blocking socket. Call it in a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._input = memoryview(bytearray(READ_SIZE))
        self._outbox = Outbox()
        self._is_flushing = False
        self._is_writer = False
        self._msgids = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._roomless: deque[asyncio.Future[None]] = deque()
        self._lost: tuple[str, BaseException | None] | None = None
        self._loop.add_reader(sock, self._on_readable)

    @classmethod
    async def open(cls, path: str) -> Connection:
        """Connects to the socket at `path`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONNECT_TIMEOUT_S
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            while True:
                try:
                    sock.connect(path)
                    return cls(sock)
                except BlockingIOError:
                    if loop.time() > deadline:
                        raise
                await asyncio.sleep(CONNECT_RETRY_S)
        except OSError as error:
            sock.close()
            reason = error.strerror or str(error)
            raise ConnectionLostError(f"cannot connect to gpud at {path}: {reason}") from error
        except BaseException:
            sock.close()
            raise

    @property
    def is_open(self) -> bool:
        return self._lost is None

    async def call(self, method: str, args: Mapping[str, Any], fds: Sequence[int] = ()) -> Any:
        """Sends a request and waits for its result. Cancelled, it drops the reply when that comes."""
        while self._outbox.size > QUEUED_MAX:
            await self._room()
        return await self.submit(method, args, fds)

    def submit(self, method: str, args: Mapping[str, Any], fds: Sequence[int] = ()) -> asyncio.Future[Any]:
        """Queues a request at once. The future ends with the reply or with the connection."""
        self.check_usable()
        msgid = next(self._msgids) & 0xFFFFFFFF
        while msgid in self._waiting:
            msgid = next(self._msgids) & 0xFFFFFFFF
        packed = self._encoder.request(msgid, method, args)
        is_first = not self._waiting
        self._waiting[msgid] = future = self._loop.create_future()
        if fds or not is_first:
            self._outbox.append(packed, fds)
        elif self._outbox.send_alone(self._sock, packed):
            # Alone on its way: to wait for the end of the turn would be a tenth of the round trip.
            return future
        if is_first:
            self._flush()
        elif not self._is_flushing:
            # Once in this turn of the loop, so that what is asked together goes out together.
            self._is_flushing = True
            self._loop.call_soon(self._flush)
        return future

    def check_usable(self) -> None:
        """Raises ConnectionLostError once the connection has ended, RuntimeError on another event loop."""
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("this gpud client belongs to another event loop: connect one in each loop")
        if self._lost:
            raise self._lost_error()

    def close(self) -> None:
        """Hangs up. What still waits fails with ConnectionLostError."""
        self._lose("the client was closed")

    async def _room(self) -> None:
        waiter = self._loop.create_future()
        self._roomless.append(waiter)
        await waiter

    def _flush(self) -> None:
        self._is_flushing = False
        if self._lost:
            return
        try:
            is_empty = self._outbox.send(self._sock)
        except OSError as error:
            # What gpud said before it hung up tells more than a broken pipe.
            while self._read():
                pass
            self._lose(f"the connection to gpud broke: {error.strerror}", error)
            return
        if is_empty == self._is_writer:
            self._is_writer = not is_empty
            if is_empty:
                self._loop.remove_writer(self._sock)
            else:
                self._loop.add_writer(self._sock, self._flush)
        while self._roomless and self._outbox.size <= QUEUED_MAX // 2:
            _wake(self._roomless)

    def _on_readable(self) -> None:
        self._read()

    def _read(self) -> bool:
        """Takes what has come, once; False when there was nothing or nothing more will be."""
        if self._lost:
            return False
        try:
            n, ancillary, _, _ = self._sock.recvmsg_into(
                [self._input], ANCILLARY_SIZE, socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._lose(f"the connection to gpud broke: {error.strerror}", error)
            return False
        if ancillary:
            _close_received(ancillary)
        if n == 0:
            self._lose("gpud closed the connection")
            return False
        try:
            for msgid, error_map, result in self._decoder.feed(self._input[:n]):
                self._settle(msgid, error_map, result)
        except FramingError as error:
            self._lose(str(error), error)
        return not self._lost

    def _settle(self, msgid: int | None, error: Any, result: Any) -> None:
        """Hands a reply to who waits for it, if anybody still does."""
        if msgid is None:
            refusal = error_from_wire(error)
            self._lose(f"gpud refused the connection: {refusal}", refusal)
            return
        future = self._waiting.pop(msgid, None)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error_from_wire(error))

    def _lose(self, message: str, cause: BaseException | None = None) -> None:
        if self._lost:
            return
        self._lost = message, cause
        self._loop.remove_reader(self._sock)
        if self._is_writer:
            self._loop.remove_writer(self._sock)
        self._sock.close()
        self._outbox.clear()
        while self._roomless:
            _wake(self._roomless)
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(self._lost_error())
                # Nobody may be waiting for it any more; that is no reason to complain.
                future.exception()

    def _lost_error(self) -> ConnectionLostError:
        assert self._lost
        message, cause = self._lost
        error = ConnectionLostError(message)
        error.__cause__ = cause
        return error


def _wake(waiters: deque[asyncio.Future[None]]) -> None:
    waiter = waiters.popleft()
    if not waiter.done():
        waiter.set_result(None)


def _close_received(ancillary: list[tuple[int, int, bytes]]) -> None:
    """No reply carries descriptors that anybody asked for."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds = array.array("i")
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
            for fd in fds:
                with contextlib.suppress(OSError):
                    os.close(fd)
