"""Python on an event loop, one side of a comparison (sides.py): `aio.py gpud|echo PATH [uvloop]` connects to
gpud by its package, or to a bare echo by a bare protocol, then obeys the lines on its standard input:

    ping N          one request at a time
    bytes SIZE      bytes, and an allocation for them
    write N, read N    the bytes to the allocation; from it, each time into a new object

`aio.py serve PATH` is the bare echo on asyncio.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

# What daemon.ping is on the wire; the echo has as many bytes to carry.
PING = b"\x94\x00\x00\xabdaemon.ping\x91\x80"


def stats(times: list[float]) -> dict[str, float]:
    times = sorted(times)
    at = len(times) - 1
    return {
        "n": len(times),
        "min_us": times[0] * 1e6,
        "median_us": times[at // 2] * 1e6,
        "p99_us": times[at * 99 // 100] * 1e6,
        "max_us": times[at] * 1e6,
    }


async def timed(call: Callable[[], Awaitable[Any]], n: int) -> dict[str, float]:
    times = []
    for _ in range(max(n // 10, 1)):
        await call()
    for _ in range(n):
        began = time.perf_counter()
        result = await call()
        times.append(time.perf_counter() - began)
        # What was read is let go of while the clock stands: to give memory back is not part of reading.
        del result
    return stats(times)


class EchoProtocol(asyncio.BufferedProtocol):
    """With a buffer of its own: asyncio makes one of 256 KiB for each read of a plain Protocol, which costs
    more than all the rest of an echo."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.loop = asyncio.get_running_loop()
        self.buffer = memoryview(bytearray(64 << 10))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer


class EchoServer(EchoProtocol):
    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(self.buffer[:nbytes])


class EchoClient(EchoProtocol):
    """One request at a time, as bare as a request can be that is awaited."""

    def buffer_updated(self, nbytes: int) -> None:
        self.n_missing -= nbytes
        if self.n_missing <= 0:
            self.reply.set_result(None)

    def ping(self) -> asyncio.Future[None]:
        self.n_missing = len(PING)
        self.reply = self.loop.create_future()
        self.transport.write(PING)
        return self.reply


async def serve(path: str) -> None:
    server = await asyncio.get_running_loop().create_unix_server(EchoServer, path)
    await server.serve_forever()


class Side:
    """What is measured: one connection and the commands on it."""

    def __init__(self) -> None:
        self.data = b""
        self.ping: Callable[[], Awaitable[Any]]
        self.client: Any = None
        self.mem: Any = None

    async def connect(self, server: str, path: str) -> None:
        if server == "echo":
            _, echo = await asyncio.get_running_loop().create_unix_connection(EchoClient, path)
            self.ping = echo.ping
            return
        import gpud

        self.client = await gpud.connect(path)
        self.ping = self.client.ping

    async def prepare(self, size: int) -> dict[str, Any]:
        """New bytes and an allocation for them; a size of 0 drops both."""
        if self.mem is not None:
            await self.mem.free()
        self.mem = None
        self.data = os.urandom(1 << 20) * (size >> 20)
        if size > 0:
            device = (await self.client.devices())[0].device
            self.mem = await self.client.alloc(device, len(self.data))
            await self.mem.write(self.data)
            if await self.mem.read() != self.data:
                sys.exit("bench: what was read is not what was written")
        return {}

    async def obey(self, name: str, n: int) -> dict[str, Any]:
        if name == "ping":
            return await timed(self.ping, n)
        if name == "write":
            return await timed(lambda: self.mem.write(self.data), n)
        if name == "read":
            return await timed(lambda: self.mem.read(len(self.data)), n)
        assert name == "bytes", name
        return await self.prepare(n)


async def main(server: str, path: str) -> None:
    side = Side()
    await side.connect(server, path)
    # Nothing else goes on between two commands, so the loop may as well stand still.
    for line in iter(sys.stdin.readline, ""):
        name, n = line.split()
        print(json.dumps(await side.obey(name, int(n))), flush=True)


if __name__ == "__main__":
    server, path, *rest = sys.argv[1:]
    if rest == ["uvloop"]:
        import uvloop

        uvloop.install()
    asyncio.run(serve(path) if server == "serve" else main(server, path))
