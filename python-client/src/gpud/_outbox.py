"""Bytes and file descriptors on their way into a socket."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from collections.abc import Sequence

# One sendmsg takes at most this much: more would be copied to the kernel before gpud gets to see the first.
BATCH_BYTES = 256 << 10
BATCH_MESSAGES = 64


class Outbox:
    """A queue of messages. File descriptors go with the first byte of their message, as gpud expects them."""

    def __init__(self) -> None:
        self._messages: deque[tuple[bytes | memoryview, tuple[int, ...]]] = deque()
        self.size = 0
        """bytes that wait"""

    def append(self, message: bytes, fds: Sequence[int] = ()) -> None:
        """Queues a message. The descriptors are duplicated: the caller may close its own at once."""
        self._messages.append((message, tuple(os.dup(fd) for fd in fds)))
        self.size += len(message)

    def send_alone(self, sock: socket.socket, message: bytes) -> bool:
        """Sends a message past the empty queue. False when not all of it went out: the rest is queued."""
        sent = 0
        if not self._messages:
            # Whatever the error is, the next attempt meets it again.
            with contextlib.suppress(OSError):
                sent = sock.send(message, socket.MSG_NOSIGNAL)
            if sent == len(message):
                return True
        self._messages.append((memoryview(message)[sent:], ()))
        self.size += len(message) - sent
        return False

    def send(self, sock: socket.socket) -> bool:
        """Sends what the socket takes; True when nothing is left. A broken socket is an OSError."""
        while self._messages:
            fds = self._messages[0][1]
            try:
                if fds:
                    sent = socket.send_fds(sock, self._batch(), fds, socket.MSG_NOSIGNAL)
                elif len(self._messages) == 1:
                    sent = sock.send(self._messages[0][0], socket.MSG_NOSIGNAL)
                else:
                    sent = sock.sendmsg(self._batch(), (), socket.MSG_NOSIGNAL)
            except (BlockingIOError, InterruptedError):
                return False
            self._drop(sent)
        return True

    def clear(self) -> None:
        """Forgets everything."""
        for _, fds in self._messages:
            _close(fds)
        self._messages.clear()
        self.size = 0

    def _batch(self) -> list[bytes | memoryview]:
        """The first message and those after it, up to the next that has descriptors of its own."""
        batch: list[bytes | memoryview] = []
        size = 0
        for message, fds in self._messages:
            if batch and (fds or size + len(message) > BATCH_BYTES or len(batch) == BATCH_MESSAGES):
                break
            batch.append(message)
            size += len(message)
        return batch

    def _drop(self, sent: int) -> None:
        """Takes off the queue what has been sent."""
        self.size -= sent
        while sent > 0:
            message, fds = self._messages.popleft()
            _close(fds)
            if sent < len(message):
                self._messages.appendleft((memoryview(message)[sent:], ()))
            sent -= len(message)


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
