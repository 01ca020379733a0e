"""One connection to gpud: its socket, and the requests that wait for their replies.

Own socket handling, since asyncio's streams lose file descriptors. Everything here runs on the thread of the
event loop that opened the connection, in the process that did.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import itertools
import os
import socket
import warnings
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gpud import _headroom, _way
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


# For a forked child to let go of.
_connections: weakref.WeakSet[Connection] = weakref.WeakSet()


class Loss(NamedTuple):
    """How a connection ended."""

    message: str
    hint: str
    cause: BaseException | None = None

    def error(self) -> ConnectionLostError:
        """A new exception for each who is told."""
        error = ConnectionLostError(self.message, hint=self.hint)
        error.__cause__ = self.cause
        return error


CLOSED = Loss("this client was closed", "connect another with gpud.connect()")


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
        self._lost: Loss | None = None
        self._pid = os.getpid()
        self._loop.add_reader(sock, self._on_readable)
        _connections.add(self)

    @classmethod
    async def open(cls, path: str) -> Connection:
        """Connects to the socket at `path`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONNECT_TIMEOUT_S
        sock = _make_socket()
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
            raise _way.barred(path, error) from error
        except BaseException:
            sock.close()
            raise

    @property
    def is_open(self) -> bool:
        return self._lost is None

    @property
    def is_ours(self) -> bool:
        """False in a forked child."""
        return self._pid == os.getpid()

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
        if self._lost:
            raise self._lost.error()
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("this gpud client belongs to another event loop: connect one in each loop")

    def close(self) -> None:
        """Hangs up. What still waits fails with ConnectionLostError."""
        self._lose(CLOSED)

    def leave(self) -> None:
        """Lets go of it in a forked child: closes the child's copy of the socket, and touches nothing that is
        the parent's as well, such as what the event loop waits for."""
        if self._lost:
            return
        self._lost = Loss(
            f"this client belongs to process {self._pid}, of which this one is a fork",
            "connect in the process that uses it",
        )
        # Not close(): uvloop's reader would keep it open.
        os.close(self._sock.detach())
        self._outbox.clear()

    def __del__(self) -> None:
        if hasattr(self, "_lost") and not self._lost:
            warnings.warn(
                "a gpud client was dropped and not closed", ResourceWarning, stacklevel=2, source=self
            )
            self._hang_up()

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
            self._lose(_broken(error))
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
            self._lose(_broken(error))
            return False
        if ancillary:
            _close_received(ancillary)
        if n == 0:
            self._lose(
                Loss(
                    "gpud closed the connection",
                    "it ended, or an administrator ended the session: see its log",
                )
            )
            return False
        try:
            for msgid, error_map, result in self._decoder.feed(self._input[:n]):
                self._settle(msgid, error_map, result)
        except FramingError as error:
            self._lose(Loss(str(error), "is it gpud that listens there?", error))
        return not self._lost

    def _settle(self, msgid: int | None, error: Any, result: Any) -> None:
        """Hands a reply to who waits for it, if anybody still does."""
        if msgid is None:
            refusal = error_from_wire(error)
            self._lose(Loss(f"gpud refused the connection: {refusal}", refusal.hint, refusal))
            return
        future = self._waiting.pop(msgid, None)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error_from_wire(error))

    def _lose(self, loss: Loss) -> None:
        if self._lost:
            return
        self._lost = loss
        self._loop.remove_reader(self._sock)
        if self._is_writer:
            self._loop.remove_writer(self._sock)
        self._hang_up()
        self._outbox.clear()
        while self._roomless:
            _wake(self._roomless)
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(loss.error())
                # Nobody may be waiting for it any more; that is no reason to complain.
                future.exception()

    def _hang_up(self) -> None:
        # Whoever else has a copy of the descriptor, the session ends.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


def _broken(error: OSError) -> Loss:
    return Loss(f"the connection to gpud broke: {error.strerror}", ConnectionLostError.hint, error)


def _leave_all() -> None:
    for connection in _connections:
        connection.leave()


os.register_at_fork(after_in_child=_leave_all)


def _make_socket() -> socket.socket:
    try:
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise OSError(error.errno, _headroom.explain(error)) from None


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
