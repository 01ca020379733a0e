"""The client: a session with gpud on one event loop."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import operator
import os
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from gpud._arena import COPY_THREADS, Arena
from gpud._connection import Connection
from gpud._errors import Error
from gpud._files import File, FileLike, open_file
from gpud._mem import Mem
from gpud._opening import opening
from gpud._publication import Publication
from gpud._region import Region, Regions
from gpud._schema import (
    AlreadyExistsError,
    ConnectionLostError,
    DaemonDescribeResult,
    DaemonStatusResult,
    DeviceInfo,
    InvalidArgumentError,
    Lifetime,
    Limits,
    MemInfo,
    Methods,
    NotFoundError,
    SessionHelloResult,
    SessionInfo,
)
from gpud._settle import settled
from gpud._threads import Threads
from gpud._way import socket_path

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Client(Methods):
    """A session with gpud, from connect(). It belongs to the event loop that it was made in.

    Every method of the protocol is here under its own name, `mem_alloc` for `mem.alloc`; what people do all
    day has a shorter one. Any number of calls may run at once.
    """

    def __init__(self, connection: Connection, hello: SessionHelloResult) -> None:
        self._connection = connection
        self._threads = Threads(COPY_THREADS, "gpud-copy")
        self._hello = hello
        self._late: set[asyncio.Future[Any]] = set()
        self._regions = Regions(connection, self._threads, hello.limits)
        self._arena = Arena(self._regions, self._threads)
        """what bulk bytes go through; for Mem"""

    @property
    def session(self) -> str:
        """Id of this client's session."""
        return self._hello.session

    @property
    def server(self) -> str:
        """The daemon's name and version."""
        return self._hello.server

    @property
    def uid(self) -> int:
        """User id of this client as gpud sees it; 4294967295 if an older gpud does not say."""
        return self._hello.uid

    @property
    def gid(self) -> int:
        """Group id of this client, likewise."""
        return self._hello.gid

    @property
    def is_admin(self) -> bool:
        """Whether gpud lets this client do everything."""
        return self._hello.is_admin

    @property
    def limits(self) -> Limits:
        """The limits of this daemon."""
        return self._hello.limits

    @property
    def is_open(self) -> bool:
        """False once the connection has ended."""
        return self._connection.is_open

    async def call(self, method: str, /, *, fds: Sequence[int] = (), **args: Any) -> Any:
        """Calls a method by its name in the protocol, `mem.info` say. Returns the map that gpud replied."""
        return await self._connection.call(method, args, fds)

    async def _call(self, method: str, args: dict[str, Any], fds: Sequence[int] = ()) -> Any:
        return await self._connection.call(method, args, fds)

    async def ping(self) -> None:
        """Asks gpud for a sign of life."""
        await self.daemon_ping()

    async def status(self) -> DaemonStatusResult:
        """How the daemon is doing."""
        return await self.daemon_status()

    async def describe(self) -> DaemonDescribeResult:
        """The protocol as this daemon has it."""
        return await self.daemon_describe()

    async def devices(self) -> list[DeviceInfo]:
        """Every device."""
        return list((await self.device_list()).devices)

    async def sync(self, device: str) -> None:
        """Waits until all work submitted to a device before, by anyone, has completed."""
        await self.device_sync(device=device)

    async def sessions(self) -> list[SessionInfo]:
        """Every session that the caller may see."""
        sessions: list[SessionInfo] = []
        cursor: int | None = None
        while True:
            page = await self.session_list(cursor=cursor)
            sessions += page.sessions
            if page.next is None:
                return sessions
            cursor = page.next

    async def mems(
        self,
        *,
        device: str | None = None,
        uid: int | None = None,
        session: str | None = None,
        name_prefix: str | None = None,
    ) -> list[MemInfo]:
        """Every allocation that the caller may see, or those that match what is given."""
        mems: list[MemInfo] = []
        cursor: int | None = None
        while True:
            page = await self.mem_list(
                device=device, uid=uid, session=session, name_prefix=name_prefix, cursor=cursor
            )
            mems += page.mems
            if page.next is None:
                return mems
            cursor = page.next

    @opening
    async def alloc(
        self,
        device: str,
        size: SupportsIndex,
        *,
        name: str | None = None,
        mode: int | None = None,
        lifetime: Lifetime | None = None,
        ttl_s: int | None = None,
        exportable: bool | None = None,
        meta: Buffer | None = None,
    ) -> Mem:
        """Allocates device memory, which reads as zero.

        Args:
            device: device id (`vulkan:0`), device UUID or PCI address
            size: bytes, at least 1
            name: unique among your allocations on the device
            mode: permission bits like a file's; 0o600 when absent
            lifetime: "session", the default, or "persistent"
            ttl_s: seconds until a persistent allocation's lease ends, unless renewed
            exportable: whether it gets a device memory object of its own, in one piece
            meta: bytes of your own to keep with it

        Raises:
            NotFoundError: no such device
            OutOfMemoryError, QuotaExceededError: there is, or you may have, not so much
            AlreadyExistsError: you have one of that name there
            InvalidArgumentError: an argument is out of its limits; the message names it

        Cancelled, it leaves nothing allocated.
        """
        call = self.mem_alloc(
            device=device,
            size=operator.index(size),
            name=name,
            mode=mode,
            lifetime=lifetime,
            ttl_s=ttl_s,
            exportable=exportable,
            meta=meta,
        )
        # A persistent one has a reference beside that of the session, and it is nobody else's.
        return await self._acquire(call, "mem.free" if lifetime == "persistent" else "mem.close")

    @opening
    async def put_file(
        self,
        file: FileLike,
        device: str,
        size: SupportsIndex | None = None,
        *,
        file_offset: SupportsIndex = 0,
        name: str | None = None,
        mode: int | None = None,
        lifetime: Lifetime | None = None,
        ttl_s: int | None = None,
        exportable: bool | None = None,
        meta: Buffer | None = None,
        seal: bool | None = None,
        replace: bool | None = None,
    ) -> Mem:
        """Makes an allocation of a file's bytes, which others see when all of them are there, and not before.

        Args:
            file: a path, a descriptor or an open file object; a regular file or a block device
            device: device id, UUID or PCI address
            size: bytes; the rest of the file when absent
            file_offset: first byte of the file
            name, mode, lifetime, ttl_s, exportable, meta: of the allocation, as for alloc()
            seal: whether it is read-only for ever
            replace: whether to take the name over from an allocation of yours that has it; who holds that
                one keeps it

        Raises:
            OSError: the file cannot be opened or read; FileNotFoundError and the others of its kind
            OutOfRangeError: the file is shorter than `size`, or became so meanwhile
            InvalidArgumentError: nothing is left of the file behind `file_offset`, or it is a pipe or socket
            OutOfMemoryError: the device has not so much memory left
            AlreadyExistsError: you have one of that name there, and `replace` is not given

        When it fails or is cancelled, or this process dies, it leaves nothing allocated. What a cancellation
        in the last moment has replaced already is whole.
        """
        self._check_usable()
        threads = self._arena.file_threads
        publication = Publication(name, mode, lifetime or "session", ttl_s, seal, replace)
        publication.check()
        mem: Mem | None = None
        try:
            async with open_file(threads, lambda: File.for_reading(file, file_offset)) as source:
                size = await threads.run(source.take, size)
                if size == 0:
                    raise InvalidArgumentError(f"{source} has no bytes, and an allocation has at least one")
                if name is not None and not replace:
                    await self._check_name(device, name)
                mem = await self.alloc(device, size, exportable=exportable, meta=meta)
                await self._arena.write_from_file(mem.handle, 0, size, source)
            if not publication.is_empty:
                await self._publish(mem, publication)
            return mem
        except BaseException:
            if mem is not None:
                mem._close_soon()
            raise

    async def get_file(
        self,
        mem: str,
        file: FileLike,
        size: SupportsIndex | None = None,
        offset: SupportsIndex = 0,
        *,
        file_offset: SupportsIndex | None = None,
    ) -> int:
        """Writes an allocation's bytes to a file: Mem.read_to_file() by a handle, without a Mem."""
        found = Mem(self, await self.mem_info(mem=mem))
        return await found.read_to_file(file, size, offset, file_offset=file_offset)

    @opening
    async def open(
        self,
        mem: str | None = None,
        *,
        device: str | None = None,
        name: str | None = None,
        uid: int | None = None,
    ) -> Mem:
        """Takes a reference to an allocation: by its handle, or by device and name (of the owner `uid`).

        Each call takes one more, which ends with its Mem. Raises NotFoundError if there is none, or none that
        the caller may see, or its owner has freed it. Cancelled, it leaves no reference.
        """
        call = self.mem_open(mem=mem, device=device, name=name, uid=uid)
        return await self._acquire(call, "mem.close")

    @opening
    async def region(self, size: SupportsIndex) -> Region:
        """Shared memory of `size` bytes that devices read and write directly. Its pages are taken at once.

        Raises ResourceExhaustedError beyond `limits.shm_max` or with too many regions already, MemoryError
        where the machine, a control group or a limit of this process leaves no room for them.
        Fill `region.view` from a file or a socket, or with numpy, and hand it to Mem.write_from(): no byte is
        copied by the CPU.
        """
        self._check_usable()
        return await self._regions.make(size)

    def _check_usable(self) -> None:
        """Before threads get to work: those of a forked child's copy are the parent's."""
        self._connection.check_usable()

    async def _copy_region(
        self, method: str, mem: str, offset: int, size: int, region: Region, region_offset: int
    ) -> None:
        """Mem.write_from() and Mem.read_to()."""
        if region._connection is not self._connection:
            raise InvalidArgumentError(
                f"region {region.shm} is another client's", hint="use it with Mems of the client that made it"
            )
        if region._is_released:
            raise NotFoundError(f"this Region was released: {region.shm}", hint="make another with region()")
        args = {"mem": mem, "offset": offset, "size": size, "shm": region.shm, "shm_offset": region_offset}
        await settled(self._connection.submit(method, args))

    async def close(self) -> None:
        """Ends the session. gpud drops what it held; calls that still wait fail with ConnectionLostError.

        In a forked child nothing is left to do: the session and what serves it are the parent's.
        """
        if not self._connection.is_ours:
            return
        self._connection.close()
        self._threads.close()
        await self._arena.close()
        # Those who waited for replies learn of it in the next turn, and let go of what they had.
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<gpud.Client {self.session} of {self.server}{'' if self.is_open else ', closed'}>"

    async def _acquire(self, call: Coroutine[Any, Any, MemInfo], undo: str) -> Mem:
        """A Mem of the reference that `call` takes. Cancelled, it has the method `undo` called when the
        reference comes."""
        return Mem(self, await self._or_undo(call, undo))

    async def _publish(self, mem: Mem, publication: Publication) -> None:
        # What has been taken over cannot be given back: then the new version is there, and whole.
        undo = "mem.close" if publication.replace else "mem.free"
        mem._info = await self._or_undo(
            self.mem_publish(mem=mem.handle, **dataclasses.asdict(publication)), undo
        )

    async def _or_undo(self, call: Coroutine[Any, Any, MemInfo], undo: str) -> MemInfo:
        """The result of `call`. Cancelled, it has the method `undo` called with what comes later."""
        task = asyncio.ensure_future(call)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(functools.partial(self._undo_late, undo))
            raise

    def _undo_late(self, undo: str, task: asyncio.Future[MemInfo]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._give_back(task.result().mem, undo)

    async def _check_name(self, device: str, name: str) -> None:
        """Refuses a name that is taken. It may still be, later."""
        try:
            async with self.open(device=device, name=name) as taken:
                pass
        except NotFoundError:
            return
        raise AlreadyExistsError(
            f'uid {taken.info.uid} already has an allocation named "{name}" on {taken.device}',
            hint="choose another name, or give replace=True",
        )

    def _give_back(self, mem: str, method: str = "mem.close") -> asyncio.Future[Any] | None:
        """Gives a reference back, whether anybody waits for the reply or not."""
        if not self.is_open:
            return None
        reply = self._connection.submit(method, {"mem": mem})
        # Held until it is there, or the loop would drop it.
        self._late.add(reply)
        reply.add_done_callback(self._end_late)
        return reply

    def _end_late(self, reply: asyncio.Future[Any]) -> None:
        self._late.discard(reply)
        if not reply.cancelled():
            reply.exception()


@opening
async def connect(path: str | os.PathLike[str] | None = None, *, client: str = "python") -> Client:
    """Connects to gpud: `async with gpud.connect() as client`, or `client = await gpud.connect()`.

    The socket is `path`, else the environment's GPUD_SOCKET, else /run/gpud/gpud.sock. `client` is the name
    that operators see.

    Raises:
        ConnectionLostError: nobody answers there; a ConnectionError
        PermissionDeniedError: the socket is not open to you; a PermissionError
        ResourceExhaustedError: gpud has as many connections as it may have
    """
    connection = await Connection.open(socket_path(path))
    try:
        wire = await connection.call("session.hello", {"client": client})
        return Client(connection, SessionHelloResult.from_wire(wire))
    except ConnectionLostError as lost:
        connection.close()
        # Why gpud hung up says more than that it did.
        if isinstance(lost.__cause__, Error):
            raise lost.__cause__ from None
        raise
    except BaseException:
        connection.close()
        raise
