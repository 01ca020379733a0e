"""One connection under a peer that replies late, wrongly or not at all."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from peer import Peer, info, open_descriptors
from test_arena import until

import gpud
from gpud._connection import QUEUED_MAX, Connection

pytestmark = pytest.mark.anyio


async def test_replies_in_any_order() -> None:
    async with Peer() as peer:
        calls = [asyncio.ensure_future(peer.client.call("x", n=n)) for n in range(50)]
        for request in reversed([await peer.request("x") for _ in calls]):
            peer.reply(request, request.args["n"])
        assert await asyncio.gather(*calls) == list(range(50))


async def test_refusal_is_the_exception_of_its_code() -> None:
    async with Peer() as peer:
        call = asyncio.ensure_future(peer.client.open("nobody"))
        peer.refuse(await peer.request("mem.open"), 2, "no allocation nobody")
        with pytest.raises(LookupError, match="no allocation nobody") as caught:
            await call
        assert type(caught.value) is gpud.NotFoundError
        assert caught.value.hint == "try"


async def test_reply_of_a_cancelled_call_is_dropped() -> None:
    async with Peer() as peer:
        first = asyncio.ensure_future(peer.client.call("first"))
        request = await peer.request("first")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.ensure_future(peer.client.call("second"))
        other = await peer.request("second")
        assert other.msgid != request.msgid
        peer.reply(request, "late")
        peer.reply(other, "right")
        assert await second == "right"


@pytest.mark.parametrize(
    ("method", "args", "undo"),
    [
        ("alloc", {"device": "vulkan:0", "size": 10}, "mem.close"),
        ("alloc", {"device": "vulkan:0", "size": 10, "lifetime": "persistent"}, "mem.free"),
        ("open", {"mem": "a-handle"}, "mem.close"),
    ],
)
async def test_reference_that_comes_after_a_cancellation_is_given_back(
    method: str, args: dict[str, Any], undo: str
) -> None:
    async with Peer() as peer:
        call = asyncio.ensure_future(getattr(peer.client, method)(**args))
        request = await peer.request(f"mem.{method}")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        peer.reply(request, info("a-handle", 10))
        given_back = await peer.request(undo)
        assert given_back.args == {"mem": "a-handle"}
        # Whatever gpud replies, nobody is bothered with it.
        peer.refuse(given_back, 2, "no allocation a-handle")
        ping = asyncio.ensure_future(peer.client.ping())
        peer.reply(await peer.request("daemon.ping"))
        await ping
        assert not peer.client._late


async def test_lost_connection_fails_every_call_once_and_all_later_ones() -> None:
    async with Peer() as peer:
        calls = [asyncio.ensure_future(peer.client.call("x")) for _ in range(20)]
        for _ in range(20):
            await peer.request()
        calls[3].cancel()
        peer.hang_up()
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(errors.pop(3), asyncio.CancelledError)
        assert all(type(e) is gpud.ConnectionLostError for e in errors)
        assert len({id(e) for e in errors}) == 19
        assert not peer.client.is_open
        with pytest.raises(ConnectionError, match="closed"):
            await peer.client.ping()


async def test_last_words_of_gpud_are_told() -> None:
    async with Peer() as peer:
        call = asyncio.ensure_future(peer.client.call("x"))
        await peer.request("x")
        peer.send([1, None, {"code": 1, "name": "INVALID_ARGUMENT", "message": "too deep", "hint": ""}, None])
        peer.hang_up()
        with pytest.raises(gpud.ConnectionLostError, match="too deep") as caught:
            await call
        assert isinstance(caught.value.__cause__, gpud.InvalidArgumentError)


async def test_last_words_are_read_before_a_broken_pipe_is_told() -> None:
    async with Peer() as peer:
        peer.send([1, None, {"code": 1, "name": "INVALID_ARGUMENT", "message": "go away", "hint": ""}, None])
        peer.hang_up()
        # The socket is dead before the loop ever looked at it.
        reply = peer.connection.submit("x", {})
        peer.connection._flush()
        with pytest.raises(gpud.ConnectionLostError, match="go away"):
            await reply


async def test_garbage_ends_the_connection() -> None:
    async with Peer() as peer:
        call = asyncio.ensure_future(peer.client.call("x"))
        await peer.request("x")
        peer.sock.send(b"HTTP/1.0 400 Bad Request\r\n")
        with pytest.raises(gpud.ConnectionLostError):
            await call


async def test_closing_the_client_fails_what_waits() -> None:
    async with Peer() as peer:
        call = asyncio.ensure_future(peer.client.call("x"))
        await peer.request("x")
        await peer.client.close()
        await peer.client.close()
        with pytest.raises(gpud.ConnectionLostError, match="client was closed") as caught:
            await call
        for late in peer.client.ping(), peer.client.region(10), peer.client.put_file("/dev/null", "vulkan:0"):
            with pytest.raises(gpud.ConnectionLostError, match="this client was closed") as caught:
                await late
            assert caught.value.hint == "connect another with gpud.connect()"
            assert caught.value.errno == errno.ENOTCONN


async def test_who_hung_up_is_told() -> None:
    async with Peer() as peer:
        peer.hang_up()
        await until(lambda: not peer.client.is_open)
        await peer.client.close()
        with pytest.raises(gpud.ConnectionLostError, match="gpud closed the connection") as caught:
            await peer.client.ping()
        assert "its log" in caught.value.hint


async def test_dropped_client_hangs_up() -> None:
    """Even where a copy of the socket is open elsewhere, in a child say."""
    ours, theirs = socket.socketpair()
    copy = theirs.dup()
    with ours, copy:
        theirs.setblocking(False)
        connection = Connection(theirs)
        asyncio.get_running_loop().remove_reader(theirs)
        with pytest.warns(ResourceWarning, match="dropped and not closed"):
            del connection
        ours.settimeout(10)
        assert await asyncio.to_thread(ours.recv, 1) == b""


async def test_peer_that_does_not_read_holds_callers_up_and_not_memory() -> None:
    async with Peer() as peer:
        peer.ignore()
        data = bytes(60_000)
        calls = [asyncio.ensure_future(peer.client.call("x", n=n, data=data)) for n in range(200)]
        await asyncio.sleep(0.05)
        assert peer.connection._outbox.size <= QUEUED_MAX + len(data) + 100
        calls[199].cancel()
        peer.listen()
        for n in range(199):
            request = await peer.request("x")
            assert request.args == {"n": n, "data": data}
            peer.reply(request, n)
        assert await asyncio.gather(*calls[:199]) == list(range(199))


async def test_message_larger_than_the_socket_takes() -> None:
    async with Peer() as peer:
        data = os.urandom(900_000)
        calls = [asyncio.ensure_future(peer.client.call("x", data=data, n=n)) for n in range(2)]
        for n in range(2):
            request = await peer.request("x")
            assert request.args == {"data": data, "n": n}
            peer.reply(request, n)
        assert await asyncio.gather(*calls) == [0, 1]
        assert peer.connection._outbox.size == 0


async def test_descriptors_travel_with_their_message_and_none_stays_open() -> None:
    async with Peer() as peer:
        peer.ignore()
        filler = [asyncio.ensure_future(peer.client.call("filler", data=bytes(100_000))) for _ in range(8)]
        made = [asyncio.ensure_future(peer.client.region(4096)) for _ in range(3)]
        await asyncio.sleep(0.1)
        peer.listen()
        for _ in filler:
            await peer.request("filler")
        for n in range(3):
            request = await peer.request("shm.register")
            assert os.fstat(request.fds[0]).st_size == 4096
            os.close(request.fds[0])
            peer.reply(request, {"shm": f"region {n}", "imported": False})
        assert sorted([r.shm for r in await asyncio.gather(*made)]) == ["region 0", "region 1", "region 2"]
        for call in filler:
            call.cancel()


async def test_descriptors_nobody_asked_for_are_closed() -> None:
    async with Peer() as peer:
        call = asyncio.ensure_future(peer.client.call("x"))
        request = await peer.request("x")
        before = open_descriptors()
        socket.send_fds(peer.sock, [b"\x94\x01" + bytes([request.msgid]) + b"\xc0\x2a"], [0, 1])
        assert await call == 42
        assert open_descriptors() <= before


async def test_client_of_another_loop_says_so() -> None:
    async with Peer() as peer:

        async def ping() -> None:
            await peer.client.ping()

        def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="another event loop"):
                asyncio.run(ping())

        await asyncio.to_thread(elsewhere)


async def test_nobody_listens(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path, "x" * 200):
        with pytest.raises(gpud.ConnectionLostError, match="cannot connect to gpud at"):
            await gpud.connect(path)
    with pytest.raises(gpud.ConnectionLostError) as caught:
        await gpud.connect(tmp_path / "nothing")
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(gpud.InvalidArgumentError, match="path is empty"):
        await gpud.connect("")


async def test_socket_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUD_SOCKET", str(tmp_path / "from-the-environment"))
    with pytest.raises(gpud.ConnectionLostError, match="from-the-environment"):
        await gpud.connect()


async def test_cancelled_connect_leaves_no_descriptor(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "silent"))
    listener.listen(1)
    before = open_descriptors()
    for _ in range(5):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(gpud.connect(tmp_path / "silent"), 0.02)
    listener.close()
    assert open_descriptors() < before


async def test_list_is_read_to_the_end() -> None:
    async with Peer() as peer:
        call = asyncio.ensure_future(peer.client.mems(device="vulkan:0"))
        for cursor, names, following in ((None, "ab", 1), (1, "", 2), (2, "c", None)):
            request = await peer.request("mem.list")
            assert request.args.get("cursor") == cursor
            peer.reply(request, {"mems": [info(name, 1) for name in names], "next": following})
        assert [mem.mem for mem in await call] == ["a", "b", "c"]
