"""Other users. These need root to become somebody else."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from harness import Daemon
from rpc import Client

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@contextmanager
def as_user(daemon: Daemon, uid: int, groups: list[int]) -> Iterator[Callable[..., Client]]:
    """A function that connects as that user. The socket is made for all to reach, from its folder on."""
    os.chmod(daemon.socket, 0o666)
    os.chmod(daemon.directory, 0o711)
    clients: list[Client] = []

    def connect() -> Client:
        # The kernel notes who connects, so a child does, and hands the socket over.
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                # The folders above are root's alone.
                os.chdir(daemon.directory)
                os.setgroups(groups)
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                connected = Client(os.path.basename(daemon.socket))
                socket.send_fds(theirs, [b"x"], [connected.socket.fileno()])
                status = 0
            finally:
                os._exit(status)
        theirs.close()
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        assert os.waitpid(child, 0)[1] == 0
        ours.close()
        connection = socket.socket(fileno=fds[0])
        connection.settimeout(120)
        client = Client.__new__(Client)
        client.adopt(connection)
        clients.append(client)
        return client

    try:
        yield connect
    finally:
        for client in clients:
            client.close()
