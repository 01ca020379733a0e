"""The protocol: enumerations, errors, results and methods.

Printed from the tables of proto/ by `make`; not for editing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from gpud import _buffers
from gpud._errors import Error

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "PROTOCOL",
    "Lifetime",
    "DeviceType",
    "Health",
    "InvalidArgumentError",
    "NotFoundError",
    "PermissionDeniedError",
    "AlreadyExistsError",
    "OutOfRangeError",
    "OutOfMemoryError",
    "QuotaExceededError",
    "SealedError",
    "BusyError",
    "DeviceLostError",
    "UnsupportedError",
    "ResourceExhaustedError",
    "DeadlineExceededError",
    "InternalError",
    "ConnectionLostError",
    "UnknownMethodError",
    "SystemCallError",
    "Limits",
    "SessionHelloResult",
    "SessionInfo",
    "SessionListResult",
    "DeviceInfo",
    "DeviceListResult",
    "DeviceMemoryResult",
    "DeviceTelemetryResult",
    "MemInfo",
    "MemListResult",
    "MemReadResult",
    "MemMetaResult",
    "ShmRegisterResult",
    "StallBucket",
    "DaemonStatusResult",
    "FieldDescription",
    "StructDescription",
    "ValueDescription",
    "EnumDescription",
    "MethodDescription",
    "ErrorDescription",
    "LimitDescription",
    "DaemonDescribeResult",
]

PROTOCOL: Final = 3
"""version of the protocol"""
SOCKET_DEFAULT: Final = "/run/gpud/gpud.sock"
"""where gpud listens unless told otherwise"""

Lifetime: TypeAlias = Literal[
    "session",  # until no session holds it
    "persistent",  # until its owner frees it, and no session holds it
]
"""How long an allocation lives."""

DeviceType: TypeAlias = Literal[
    "other",  # none of the others
    "integrated",  # a GPU that shares the host's memory
    "discrete",  # a GPU with its own memory
    "virtual",  # a virtual GPU
    "cpu",  # a software driver
]
"""What kind of device it is, in Vulkan's words."""

Health: TypeAlias = Literal[
    "ok",  # it works
    "lost",  # the driver gave it up; its allocations are lost
]
"""Whether a device can be used."""


class InvalidArgumentError(Error, ValueError):
    """Invalid argument."""

    code = 1
    name = "INVALID_ARGUMENT"
    hint = "the message says which argument and what it may be; see also `gpuctl help` or Python's help()"


class NotFoundError(Error, LookupError):
    """Not found."""

    code = 2
    name = "NOT_FOUND"
    hint = "`gpuctl ls` and `gpuctl device list` show what there is for this user"


class PermissionDeniedError(Error, PermissionError):
    """Permission denied."""

    code = 3
    name = "PERMISSION_DENIED"
    hint = "ask its owner for the mode bit, or an administrator"


class AlreadyExistsError(Error, FileExistsError):
    """Already exists."""

    code = 4
    name = "ALREADY_EXISTS"
    hint = "choose another name, or open the allocation that has it"


class OutOfRangeError(Error, ValueError):
    """Out of range."""

    code = 5
    name = "OUT_OF_RANGE"
    hint = "offset + size must lie within what is read and what is written"


class OutOfMemoryError(Error, MemoryError):
    """Out of device memory."""

    code = 6
    name = "OUT_OF_MEMORY"
    hint = "free allocations or ask for less; `gpuctl device memory` shows what is left"


class QuotaExceededError(Error, MemoryError):
    """Quota exceeded."""

    code = 7
    name = "QUOTA_EXCEEDED"
    hint = "reserved: this gpud knows no quotas"


class SealedError(Error, PermissionError):
    """Allocation is sealed."""

    code = 8
    name = "SEALED"
    hint = "a sealed allocation is read-only for ever; write to a copy of it"


class BusyError(Error, BlockingIOError):
    """Busy."""

    code = 9
    name = "BUSY"
    hint = "try again when the operation in progress has ended"


class DeviceLostError(Error, OSError):
    """Device lost."""

    code = 10
    name = "DEVICE_LOST"
    hint = "the device must be reset and gpud restarted; other devices go on"


class UnsupportedError(Error, NotImplementedError):
    """Not supported."""

    code = 11
    name = "UNSUPPORTED"
    hint = "this gpud or this driver cannot do it; `gpuctl daemon describe` shows what there is"


class ResourceExhaustedError(Error, RuntimeError):
    """A limit is reached."""

    code = 12
    name = "RESOURCE_EXHAUSTED"
    hint = "use fewer at once; the message names the limit"


class DeadlineExceededError(Error, TimeoutError):
    """Deadline exceeded."""

    code = 13
    name = "DEADLINE_EXCEEDED"
    hint = "allow more time, or ask for less at once"


class InternalError(Error, RuntimeError):
    """Internal error."""

    code = 14
    name = "INTERNAL"
    hint = "this is a fault of gpud; its log says more"


class ConnectionLostError(Error, ConnectionError):
    """No connection to gpud."""

    code = 15
    name = "CONNECTION_LOST"
    hint = "is gpud running, and is this its socket? GPUD_SOCKET says another"


class UnknownMethodError(Error, NotImplementedError):
    """Unknown method."""

    code = 16
    name = "UNKNOWN_METHOD"
    hint = "this gpud is another version than the client; `gpuctl daemon describe` shows what it has"


class SystemCallError(Error, OSError):
    """A system call of the client failed."""

    code = 17
    name = "SYSTEM_CALL"
    hint = "the message has what the system said"


ERRORS: Final[Mapping[int, type[Error]]] = {
    InvalidArgumentError.code: InvalidArgumentError,
    NotFoundError.code: NotFoundError,
    PermissionDeniedError.code: PermissionDeniedError,
    AlreadyExistsError.code: AlreadyExistsError,
    OutOfRangeError.code: OutOfRangeError,
    OutOfMemoryError.code: OutOfMemoryError,
    QuotaExceededError.code: QuotaExceededError,
    SealedError.code: SealedError,
    BusyError.code: BusyError,
    DeviceLostError.code: DeviceLostError,
    UnsupportedError.code: UnsupportedError,
    ResourceExhaustedError.code: ResourceExhaustedError,
    DeadlineExceededError.code: DeadlineExceededError,
    InternalError.code: InternalError,
    ConnectionLostError.code: ConnectionLostError,
    UnknownMethodError.code: UnknownMethodError,
    SystemCallError.code: SystemCallError,
}
"""the class of each code on the wire"""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of this daemon."""

    shm_max: int
    """bytes of the regions that one session may have registered at once, as configured; 0: it did not say"""
    message_max: int
    """bytes of one request, header included"""
    inline_max: int
    """bytes of data inside one mem.write or mem.read message; more goes through a shared-memory region"""
    inflight_max: int
    """requests of one connection in flight; past it gpud stops reading from that connection"""
    output_max: int
    """bytes of requests in flight and of replies waiting, for one connection; past it gpud stops reading from that connection"""
    name_max: int
    """bytes of an allocation's name"""
    meta_max: int
    """bytes of metadata kept with one allocation"""
    list_max: int
    """entries in one reply of mem.list or session.list"""
    shms_max: int
    """shared-memory regions registered by one session"""
    depth_max: int
    """nested arrays and maps in one request"""
    items_max: int
    """msgpack items in one request"""
    fds_max: int
    """file descriptors of one connection waiting for the message that takes them"""
    client_max: int
    """bytes of a client's name"""
    refs_max: int
    """references of one session to one allocation"""
    pattern_max: int
    """bytes of a fill pattern"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            shm_max=wire.get("shm_max", 0),
            message_max=wire["message_max"],
            inline_max=wire["inline_max"],
            inflight_max=wire["inflight_max"],
            output_max=wire["output_max"],
            name_max=wire["name_max"],
            meta_max=wire["meta_max"],
            list_max=wire["list_max"],
            shms_max=wire["shms_max"],
            depth_max=wire.get("depth_max", 8),
            items_max=wire.get("items_max", 256),
            fds_max=wire.get("fds_max", 16),
            client_max=wire.get("client_max", 64),
            refs_max=wire.get("refs_max", 65536),
            pattern_max=wire.get("pattern_max", 16),
        )


@dataclass(frozen=True, slots=True)
class SessionHelloResult:
    """Result of session.hello."""

    session: str
    """the session of this connection"""
    token: str
    """reserved: secret that will resume the session on another connection; nothing takes it yet"""
    server: str
    """the daemon's name and version"""
    protocol: int
    """protocol version"""
    limits: Limits
    """the limits of this daemon"""
    uid: int
    """user id of the caller as gpud sees it; 4294967295: it did not say"""
    gid: int
    """group id of the caller, likewise"""
    is_admin: bool
    """whether the caller may do everything: root, or named in the configuration"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            session=wire["session"],
            token=wire["token"],
            server=wire["server"],
            protocol=wire["protocol"],
            limits=Limits.from_wire(wire["limits"]),
            uid=wire.get("uid", 4294967295),
            gid=wire.get("gid", 4294967295),
            is_admin=wire.get("is_admin", False),
        )


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session: one connected client."""

    session: str
    """its id"""
    uid: int
    """user id of the process that connected"""
    gid: int
    """group id of that process"""
    pid: int
    """process id"""
    comm: str | None
    """command name of the process when it connected"""
    client: str | None
    """name the client gave in session.hello"""
    connected_ns: int
    """when it connected"""
    mems: int
    """allocations it holds"""
    bytes: int
    """bytes of the allocations it holds"""
    inflight: int
    """requests in flight"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            session=wire["session"],
            uid=wire["uid"],
            gid=wire["gid"],
            pid=wire["pid"],
            comm=wire.get("comm"),
            client=wire.get("client"),
            connected_ns=wire["connected_ns"],
            mems=wire["mems"],
            bytes=wire["bytes"],
            inflight=wire["inflight"],
        )


@dataclass(frozen=True, slots=True)
class SessionListResult:
    """Result of session.list."""

    sessions: tuple[SessionInfo, ...]
    """sessions, at most list_max of them; for callers who are no administrators only their own user's"""
    next: int | None
    """cursor of the next part, even if this one is empty; nil at the end"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            sessions=tuple(SessionInfo.from_wire(item) for item in wire.get("sessions", ())),
            next=wire.get("next"),
        )


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device and what it can do."""

    device: str
    """id: `vulkan:N`, numbered in PCI order"""
    uuid: str
    """Vulkan deviceUUID; the same as CUDA's"""
    pci: str | None
    """PCI address, domain:bus:device.function"""
    name: str
    """the driver's name for it"""
    vendor: str
    """nvidia, amd, intel, apple, qualcomm, or the driver's name"""
    type: DeviceType
    """kind of device"""
    api_version: str
    """Vulkan version"""
    driver_name: str
    """driver"""
    driver_version: str
    """version of the driver"""
    memory_total: int
    """bytes of device memory"""
    memory_available: int
    """bytes that can still be allocated, by gpud's ledger"""
    compute_units: int | None
    """streaming multiprocessors or compute units"""
    max_threads_per_block: int
    """invocations in one compute work group"""
    clock_rate_mhz: int | None
    """highest processor clock"""
    memory_clock_mhz: int | None
    """highest memory clock"""
    bandwidth_gbps: float | None
    """memory bandwidth, 1e9 bytes/s"""
    pcie: str | None
    """link speed and width as the kernel reports them"""
    health: Health
    """whether it can be used"""
    host_import: bool
    """whether it reads and writes shared-memory regions directly; else gpud stages"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            device=wire["device"],
            uuid=wire["uuid"],
            pci=wire.get("pci"),
            name=wire["name"],
            vendor=wire["vendor"],
            type=wire["type"],
            api_version=wire["api_version"],
            driver_name=wire["driver_name"],
            driver_version=wire["driver_version"],
            memory_total=wire["memory_total"],
            memory_available=wire["memory_available"],
            compute_units=wire.get("compute_units"),
            max_threads_per_block=wire["max_threads_per_block"],
            clock_rate_mhz=wire.get("clock_rate_mhz"),
            memory_clock_mhz=wire.get("memory_clock_mhz"),
            bandwidth_gbps=wire.get("bandwidth_gbps"),
            pcie=wire.get("pcie"),
            health=wire["health"],
            host_import=wire["host_import"],
        )


@dataclass(frozen=True, slots=True)
class DeviceListResult:
    """Result of device.list."""

    devices: tuple[DeviceInfo, ...]
    """every device, in id order"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            devices=tuple(DeviceInfo.from_wire(item) for item in wire.get("devices", ())),
        )


@dataclass(frozen=True, slots=True)
class DeviceMemoryResult:
    """Memory of a device, in bytes."""

    total: int
    """device-local memory"""
    used: int
    """of live allocations, as asked for"""
    available: int
    """left to allocate: total - used"""
    reserved: int
    """taken from the driver: what is used, padding, and the free parts of blocks"""
    driver_budget: int | None
    """what the driver says this process may use (VK_EXT_memory_budget)"""
    driver_used: int | None
    """what the driver says this process uses"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            total=wire["total"],
            used=wire["used"],
            available=wire["available"],
            reserved=wire["reserved"],
            driver_budget=wire.get("driver_budget"),
            driver_used=wire.get("driver_used"),
        )


@dataclass(frozen=True, slots=True)
class DeviceTelemetryResult:
    """Sensors of a device; nil where the hardware does not say."""

    timestamp_ns: int
    """when it was read"""
    temperature_c: float | None
    """degrees Celsius"""
    power_w: float | None
    """watts"""
    clock_mhz: int | None
    """processor clock"""
    memory_clock_mhz: int | None
    """memory clock"""
    utilization_percent: float | None
    """share of time a kernel ran"""
    memory_used: int
    """bytes taken from the driver by gpud"""
    memory_total: int
    """bytes of device memory"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            timestamp_ns=wire["timestamp_ns"],
            temperature_c=wire.get("temperature_c"),
            power_w=wire.get("power_w"),
            clock_mhz=wire.get("clock_mhz"),
            memory_clock_mhz=wire.get("memory_clock_mhz"),
            utilization_percent=wire.get("utilization_percent"),
            memory_used=wire["memory_used"],
            memory_total=wire["memory_total"],
        )


@dataclass(frozen=True, slots=True)
class MemInfo:
    """An allocation."""

    mem: str
    """its handle"""
    device: str
    """id of the device it lies on"""
    size: int
    """bytes"""
    name: str | None
    """its name"""
    uid: int
    """owner"""
    gid: int
    """group"""
    mode: int
    """permission bits like a file's: r read, w write and fill, x reserved for export"""
    lifetime: Lifetime
    """how long it lives"""
    expires_ns: int | None
    """when its lease ends"""
    sealed: bool
    """read-only for ever"""
    exportable: bool
    """reserved for export, which no method does yet: it has a device memory object of its own, in one piece"""
    created_ns: int
    """when it was allocated"""
    refs: int
    """references that keep it: one for each time a session allocated or opened it, and one if it is persistent"""
    meta_size: int
    """bytes of metadata kept with it"""
    given_up: bool
    """its owner freed it; it stays for the sessions that hold it, and nobody opens it any more"""
    holders: int
    """sessions that hold it; `session.list` with `mem` lists them"""
    pid: int | None
    """process id of one of them: of the session that allocated it, while that holds it"""
    comm: str | None
    """command name of that process when it connected"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            mem=wire["mem"],
            device=wire["device"],
            size=wire["size"],
            name=wire.get("name"),
            uid=wire["uid"],
            gid=wire["gid"],
            mode=wire["mode"],
            lifetime=wire["lifetime"],
            expires_ns=wire.get("expires_ns"),
            sealed=wire["sealed"],
            exportable=wire["exportable"],
            created_ns=wire["created_ns"],
            refs=wire["refs"],
            meta_size=wire["meta_size"],
            given_up=wire.get("given_up", False),
            holders=wire.get("holders", 0),
            pid=wire.get("pid"),
            comm=wire.get("comm"),
        )


@dataclass(frozen=True, slots=True)
class MemListResult:
    """Result of mem.list."""

    mems: tuple[MemInfo, ...]
    """the allocations the caller may see, at most list_max of them"""
    next: int | None
    """cursor of the next part, even if this one is empty; nil at the end"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            mems=tuple(MemInfo.from_wire(item) for item in wire.get("mems", ())),
            next=wire.get("next"),
        )


@dataclass(frozen=True, slots=True)
class MemReadResult:
    """Result of mem.read."""

    data: bytes | None
    """the bytes, or nil when they went to the region"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            data=wire.get("data"),
        )


@dataclass(frozen=True, slots=True)
class MemMetaResult:
    """Result of mem.meta."""

    meta: bytes
    """the metadata, empty if there is none"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            meta=wire["meta"],
        )


@dataclass(frozen=True, slots=True)
class ShmRegisterResult:
    """Result of shm.register."""

    shm: str
    """handle of the region, for this session only"""
    imported: bool
    """every device reads and writes it directly; else gpud stages"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            shm=wire["shm"],
            imported=wire["imported"],
        )


@dataclass(frozen=True, slots=True)
class StallBucket:
    """Loop turns that were busy for at most so long, and longer than the bucket before says."""

    limit_us: int | None
    """longest of them in microseconds; nil: no limit"""
    count: int
    """how many turns"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            limit_us=wire.get("limit_us"),
            count=wire["count"],
        )


@dataclass(frozen=True, slots=True)
class DaemonStatusResult:
    """How the daemon is doing."""

    version: str
    """version of gpud"""
    protocol: int
    """protocol version"""
    pid: int
    """its process id"""
    started_ns: int
    """when it started"""
    uptime_s: int
    """seconds since then"""
    devices: int
    """devices"""
    sessions: int
    """connected sessions"""
    mems: int
    """live allocations"""
    restored_mems: int
    """reserved: allocations taken over from the gpud before; always 0"""
    shms: int
    """registered regions"""
    inflight: int
    """requests in flight"""
    requests: int
    """requests answered since the start"""
    errors: int
    """of these, with an error"""
    fds: int
    """open file descriptors of the daemon"""
    stall_max_us: int
    """longest time in microseconds that a loop turn kept all clients waiting"""
    stalls: tuple[StallBucket, ...]
    """histogram of these times since the start"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            version=wire["version"],
            protocol=wire["protocol"],
            pid=wire["pid"],
            started_ns=wire["started_ns"],
            uptime_s=wire["uptime_s"],
            devices=wire["devices"],
            sessions=wire["sessions"],
            mems=wire["mems"],
            restored_mems=wire["restored_mems"],
            shms=wire["shms"],
            inflight=wire["inflight"],
            requests=wire["requests"],
            errors=wire["errors"],
            fds=wire["fds"],
            stall_max_us=wire["stall_max_us"],
            stalls=tuple(StallBucket.from_wire(item) for item in wire.get("stalls", ())),
        )


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """One field of a structure."""

    name: str
    """key on the wire"""
    kind: str
    """bool, u64, f64, str, bin, uuid, enum, struct or list"""
    of: str | None
    """the enumeration or structure, or the kind of object the value names"""
    required: bool
    """false: may be absent in arguments, may be nil in results"""
    max: int | None
    """most bytes of a str or bin"""
    doc: str
    """what it is"""
    format: str | None
    """what a number is: bytes, mode, time_ns, duration_s, duration_us, uid, gid or cursor; nil: a number"""
    since: int
    """protocol version that brought it"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            name=wire["name"],
            kind=wire["kind"],
            of=wire.get("of"),
            required=wire["required"],
            max=wire.get("max"),
            doc=wire["doc"],
            format=wire.get("format"),
            since=wire.get("since", 1),
        )


@dataclass(frozen=True, slots=True)
class StructDescription:
    """One structure."""

    name: str
    """its name"""
    doc: str
    """what it is"""
    fields: tuple[FieldDescription, ...]
    """its fields"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            name=wire["name"],
            doc=wire["doc"],
            fields=tuple(FieldDescription.from_wire(item) for item in wire.get("fields", ())),
        )


@dataclass(frozen=True, slots=True)
class ValueDescription:
    """One value of an enumeration."""

    name: str
    """the string on the wire"""
    doc: str
    """what it means"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            name=wire["name"],
            doc=wire["doc"],
        )


@dataclass(frozen=True, slots=True)
class EnumDescription:
    """One enumeration."""

    name: str
    """its name"""
    doc: str
    """what it is"""
    values: tuple[ValueDescription, ...]
    """its values"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            name=wire["name"],
            doc=wire["doc"],
            values=tuple(ValueDescription.from_wire(item) for item in wire.get("values", ())),
        )


@dataclass(frozen=True, slots=True)
class MethodDescription:
    """One method."""

    name: str
    """noun.verb"""
    doc: str
    """what it does"""
    args: str
    """structure of its arguments"""
    result: str
    """structure of its result"""
    admin: bool
    """for administrators only"""
    fds: int
    """file descriptors that travel with the request"""
    since: int
    """protocol version that brought it"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            name=wire["name"],
            doc=wire["doc"],
            args=wire["args"],
            result=wire["result"],
            admin=wire["admin"],
            fds=wire["fds"],
            since=wire["since"],
        )


@dataclass(frozen=True, slots=True)
class ErrorDescription:
    """One error."""

    name: str
    """its name"""
    code: int
    """its number on the wire"""
    doc: str
    """what it means"""
    hint: str
    """what can be done about it"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            name=wire["name"],
            code=wire["code"],
            doc=wire["doc"],
            hint=wire["hint"],
        )


@dataclass(frozen=True, slots=True)
class LimitDescription:
    """One limit."""

    name: str
    """its name"""
    value: int
    """its value"""
    doc: str
    """what it bounds"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            name=wire["name"],
            value=wire["value"],
            doc=wire["doc"],
        )


@dataclass(frozen=True, slots=True)
class DaemonDescribeResult:
    """The schema."""

    protocol: int
    """protocol version"""
    methods: tuple[MethodDescription, ...]
    """every method"""
    structs: tuple[StructDescription, ...]
    """every structure"""
    enums: tuple[EnumDescription, ...]
    """every enumeration"""
    errors: tuple[ErrorDescription, ...]
    """every error"""
    limits: tuple[LimitDescription, ...]
    """every limit"""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Reads a reply; keys of a newer protocol are ignored."""
        return cls(
            protocol=wire["protocol"],
            methods=tuple(MethodDescription.from_wire(item) for item in wire.get("methods", ())),
            structs=tuple(StructDescription.from_wire(item) for item in wire.get("structs", ())),
            enums=tuple(EnumDescription.from_wire(item) for item in wire.get("enums", ())),
            errors=tuple(ErrorDescription.from_wire(item) for item in wire.get("errors", ())),
            limits=tuple(LimitDescription.from_wire(item) for item in wire.get("limits", ())),
        )


class Methods:
    """Every method of the protocol as a coroutine. How a call is made, the subclass says."""

    async def _call(self, method: str, args: dict[str, Any], fds: Sequence[int] = ()) -> Any:
        raise NotImplementedError

    async def session_hello(
        self,
        *,
        client: str | None = None,
        token: str | None = None,
    ) -> SessionHelloResult:
        """Name the client and learn the limits. Optional: a connection that skips it has a session all the same.

        Args:
            client: what the client calls itself, shown to operators; at most 64 bytes
            token: reserved: token of an earlier session to resume; no session can be resumed yet; at most 64 bytes
        """
        args: dict[str, Any] = {}
        if client is not None:
            args["client"] = client
        if token is not None:
            args["token"] = token
        wire = await self._call("session.hello", args)
        return SessionHelloResult.from_wire(wire)

    async def session_list(
        self,
        *,
        cursor: int | None = None,
        mem: str | None = None,
    ) -> SessionListResult:
        """List the sessions.

        Args:
            cursor: where to go on: `next` of the reply before
            mem: only those that hold this allocation
        """
        args: dict[str, Any] = {}
        if cursor is not None:
            args["cursor"] = cursor
        if mem is not None:
            args["mem"] = mem
        wire = await self._call("session.list", args)
        return SessionListResult.from_wire(wire)

    async def device_list(self) -> DeviceListResult:
        """List the devices."""
        args: dict[str, Any] = {}
        wire = await self._call("device.list", args)
        return DeviceListResult.from_wire(wire)

    async def device_info(
        self,
        *,
        device: str,
    ) -> DeviceInfo:
        """Describe one device.

        Args:
            device: device id (`vulkan:0`), device UUID or PCI address
        """
        args: dict[str, Any] = {
            "device": device,
        }
        wire = await self._call("device.info", args)
        return DeviceInfo.from_wire(wire)

    async def device_memory(
        self,
        *,
        device: str,
    ) -> DeviceMemoryResult:
        """Show how much of a device's memory is used.

        Args:
            device: device id (`vulkan:0`), device UUID or PCI address
        """
        args: dict[str, Any] = {
            "device": device,
        }
        wire = await self._call("device.memory", args)
        return DeviceMemoryResult.from_wire(wire)

    async def device_telemetry(
        self,
        *,
        device: str,
    ) -> DeviceTelemetryResult:
        """Read a device's sensors.

        Args:
            device: device id (`vulkan:0`), device UUID or PCI address
        """
        args: dict[str, Any] = {
            "device": device,
        }
        wire = await self._call("device.telemetry", args)
        return DeviceTelemetryResult.from_wire(wire)

    async def device_sync(
        self,
        *,
        device: str,
    ) -> None:
        """Reply once all work submitted to the device before, by anyone, has completed.

        Args:
            device: device id (`vulkan:0`), device UUID or PCI address
        """
        args: dict[str, Any] = {
            "device": device,
        }
        await self._call("device.sync", args)

    async def mem_alloc(
        self,
        *,
        device: str,
        size: int,
        name: str | None = None,
        mode: int | None = None,
        lifetime: Lifetime | None = None,
        ttl_s: int | None = None,
        exportable: bool | None = None,
        meta: Buffer | None = None,
    ) -> MemInfo:
        """Allocate device memory. It reads as zero.

        Args:
            device: where: device id, UUID or PCI address
            size: bytes, at least 1
            name: unique among the owner's allocations on the device; at most 255 bytes
            mode: permission bits; 0600 when absent
            lifetime: session when absent
            ttl_s: seconds until a persistent allocation's lease ends, unless renewed
            exportable: reserved for export, which no method does yet: give it a device memory object of its own, in one piece
            meta: bytes of the client's own to keep with it; at most 1048576 bytes
        """
        args: dict[str, Any] = {
            "device": device,
            "size": size,
        }
        if name is not None:
            args["name"] = name
        if mode is not None:
            args["mode"] = mode
        if lifetime is not None:
            args["lifetime"] = lifetime
        if ttl_s is not None:
            args["ttl_s"] = ttl_s
        if exportable is not None:
            args["exportable"] = exportable
        if meta is not None:
            args["meta"] = _buffers.view_of(meta)
        wire = await self._call("mem.alloc", args)
        return MemInfo.from_wire(wire)

    async def mem_open(
        self,
        *,
        mem: str | None = None,
        device: str | None = None,
        name: str | None = None,
        uid: int | None = None,
    ) -> MemInfo:
        """Take a reference to an allocation, by handle or by device and name: one more with each call.

        Args:
            mem: handle of the allocation
            device: device the named allocation lies on
            name: name of the allocation; at most 255 bytes
            uid: owner of the named allocation; the caller when absent
        """
        args: dict[str, Any] = {}
        if mem is not None:
            args["mem"] = mem
        if device is not None:
            args["device"] = device
        if name is not None:
            args["name"] = name
        if uid is not None:
            args["uid"] = uid
        wire = await self._call("mem.open", args)
        return MemInfo.from_wire(wire)

    async def mem_close(
        self,
        *,
        mem: str,
    ) -> None:
        """Give one reference of this session back. The allocation goes with the last reference to it.

        Args:
            mem: handle of the allocation
        """
        args: dict[str, Any] = {
            "mem": mem,
        }
        await self._call("mem.close", args)

    async def mem_free(
        self,
        *,
        mem: str,
        force: bool | None = None,
    ) -> None:
        """Give an allocation up: its name and its persistent reference go at once, and those of this session. Other sessions keep it until they close it, and nobody opens it any more.

        Args:
            mem: handle of the allocation
            force: also take the references of all sessions: what they do with it next is refused
        """
        args: dict[str, Any] = {
            "mem": mem,
        }
        if force is not None:
            args["force"] = force
        await self._call("mem.free", args)

    async def mem_publish(
        self,
        *,
        mem: str,
        name: str | None = None,
        mode: int | None = None,
        lifetime: Lifetime | None = None,
        ttl_s: int | None = None,
        seal: bool | None = None,
        replace: bool | None = None,
    ) -> MemInfo:
        """Name an allocation, let it outlive its sessions, set its mode and seal it, all in one step.

        Args:
            mem: handle of the allocation
            name: new name; as it is when absent; at most 255 bytes
            mode: new permission bits; as they are when absent
            lifetime: persistent when absent; session leaves the lifetime as it is
            ttl_s: seconds until the lease of a persistent allocation ends, unless renewed; as it is when absent
            seal: make it read-only for ever
            replace: take the name over from the owner's allocation that has it, which is given up and stays for its sessions
        """
        args: dict[str, Any] = {
            "mem": mem,
        }
        if name is not None:
            args["name"] = name
        if mode is not None:
            args["mode"] = mode
        if lifetime is not None:
            args["lifetime"] = lifetime
        if ttl_s is not None:
            args["ttl_s"] = ttl_s
        if seal is not None:
            args["seal"] = seal
        if replace is not None:
            args["replace"] = replace
        wire = await self._call("mem.publish", args)
        return MemInfo.from_wire(wire)

    async def mem_info(
        self,
        *,
        mem: str,
    ) -> MemInfo:
        """Describe an allocation.

        Args:
            mem: handle of the allocation
        """
        args: dict[str, Any] = {
            "mem": mem,
        }
        wire = await self._call("mem.info", args)
        return MemInfo.from_wire(wire)

    async def mem_list(
        self,
        *,
        device: str | None = None,
        uid: int | None = None,
        session: str | None = None,
        name_prefix: str | None = None,
        cursor: int | None = None,
    ) -> MemListResult:
        """List the allocations the caller may see.

        Args:
            device: only on this device
            uid: only of this owner
            session: only those held by this session
            name_prefix: only those whose name begins so; at most 255 bytes
            cursor: where to go on: `next` of the reply before
        """
        args: dict[str, Any] = {}
        if device is not None:
            args["device"] = device
        if uid is not None:
            args["uid"] = uid
        if session is not None:
            args["session"] = session
        if name_prefix is not None:
            args["name_prefix"] = name_prefix
        if cursor is not None:
            args["cursor"] = cursor
        wire = await self._call("mem.list", args)
        return MemListResult.from_wire(wire)

    async def mem_write(
        self,
        *,
        mem: str,
        offset: int | None = None,
        data: Buffer | None = None,
        shm: str | None = None,
        shm_offset: int | None = None,
        size: int | None = None,
    ) -> None:
        """Write bytes; the reply comes when they are on the device.

        Args:
            mem: allocation to write
            offset: first byte to write; 0 when absent
            data: the bytes; at most 65536 bytes
            shm: registered region that holds the bytes
            shm_offset: where in the region they begin; 0 when absent
            size: how many bytes of the region
        """
        args: dict[str, Any] = {
            "mem": mem,
        }
        if offset is not None:
            args["offset"] = offset
        if data is not None:
            args["data"] = _buffers.view_of(data)
        if shm is not None:
            args["shm"] = shm
        if shm_offset is not None:
            args["shm_offset"] = shm_offset
        if size is not None:
            args["size"] = size
        await self._call("mem.write", args)

    async def mem_read(
        self,
        *,
        mem: str,
        offset: int | None = None,
        size: int,
        shm: str | None = None,
        shm_offset: int | None = None,
    ) -> MemReadResult:
        """Read bytes.

        Args:
            mem: allocation to read
            offset: first byte to read; 0 when absent
            size: how many bytes; at most inline_max without shm
            shm: registered region that takes the bytes
            shm_offset: where in the region they go; 0 when absent
        """
        args: dict[str, Any] = {
            "mem": mem,
            "size": size,
        }
        if offset is not None:
            args["offset"] = offset
        if shm is not None:
            args["shm"] = shm
        if shm_offset is not None:
            args["shm_offset"] = shm_offset
        wire = await self._call("mem.read", args)
        return MemReadResult.from_wire(wire)

    async def mem_copy(
        self,
        *,
        src: str,
        dst: str,
        size: int,
        src_offset: int | None = None,
        dst_offset: int | None = None,
    ) -> None:
        """Copy between allocations; overlap behaves like memmove.

        Args:
            src: allocation to copy from
            dst: allocation to copy to, on any device
            size: how many bytes
            src_offset: first byte read; 0 when absent
            dst_offset: first byte written; 0 when absent
        """
        args: dict[str, Any] = {
            "src": src,
            "dst": dst,
            "size": size,
        }
        if src_offset is not None:
            args["src_offset"] = src_offset
        if dst_offset is not None:
            args["dst_offset"] = dst_offset
        await self._call("mem.copy", args)

    async def mem_fill(
        self,
        *,
        mem: str,
        offset: int | None = None,
        size: int | None = None,
        pattern: Buffer,
    ) -> None:
        """Fill a range with a repeated pattern.

        Args:
            mem: allocation to fill
            offset: first byte, where the pattern starts; 0 when absent
            size: how many bytes; to the end when absent
            pattern: 1, 2, 4, 8 or 16 bytes; the last repetition may be cut; at most 16 bytes
        """
        args: dict[str, Any] = {
            "mem": mem,
            "pattern": _buffers.view_of(pattern),
        }
        if offset is not None:
            args["offset"] = offset
        if size is not None:
            args["size"] = size
        await self._call("mem.fill", args)

    async def mem_meta(
        self,
        *,
        mem: str,
        meta: Buffer | None = None,
    ) -> MemMetaResult:
        """Get the client's metadata, or replace it.

        Args:
            mem: handle of the allocation
            meta: new metadata; replacing it takes the w right; at most 1048576 bytes
        """
        args: dict[str, Any] = {
            "mem": mem,
        }
        if meta is not None:
            args["meta"] = _buffers.view_of(meta)
        wire = await self._call("mem.meta", args)
        return MemMetaResult.from_wire(wire)

    async def mem_rename(
        self,
        *,
        mem: str,
        name: str | None = None,
    ) -> MemInfo:
        """Give an allocation another name, or none.

        Args:
            mem: handle of the allocation
            name: new name; none when absent; at most 255 bytes
        """
        args: dict[str, Any] = {
            "mem": mem,
        }
        if name is not None:
            args["name"] = name
        wire = await self._call("mem.rename", args)
        return MemInfo.from_wire(wire)

    async def mem_persist(
        self,
        *,
        mem: str,
    ) -> MemInfo:
        """Let an allocation outlive the sessions that hold it.

        Args:
            mem: handle of the allocation
        """
        args: dict[str, Any] = {
            "mem": mem,
        }
        wire = await self._call("mem.persist", args)
        return MemInfo.from_wire(wire)

    async def mem_seal(
        self,
        *,
        mem: str,
    ) -> MemInfo:
        """Make an allocation read-only for ever.

        Args:
            mem: handle of the allocation
        """
        args: dict[str, Any] = {
            "mem": mem,
        }
        wire = await self._call("mem.seal", args)
        return MemInfo.from_wire(wire)

    async def mem_chmod(
        self,
        *,
        mem: str,
        mode: int,
    ) -> MemInfo:
        """Change an allocation's permission bits.

        Args:
            mem: handle of the allocation
            mode: new permission bits
        """
        args: dict[str, Any] = {
            "mem": mem,
            "mode": mode,
        }
        wire = await self._call("mem.chmod", args)
        return MemInfo.from_wire(wire)

    async def mem_renew(
        self,
        *,
        mem: str,
        ttl_s: int,
    ) -> MemInfo:
        """Extend the lease of a persistent allocation.

        Args:
            mem: handle of the allocation
            ttl_s: seconds from now until the lease ends
        """
        args: dict[str, Any] = {
            "mem": mem,
            "ttl_s": ttl_s,
        }
        wire = await self._call("mem.renew", args)
        return MemInfo.from_wire(wire)

    async def shm_register(
        self,
        *,
        size: int,
        fds: Sequence[int],
    ) -> ShmRegisterResult:
        """Register a memfd that bulk bytes move through.

        Args:
            size: bytes of the memfd to map
            fds: file descriptors that travel with the request: 1
        """
        args: dict[str, Any] = {
            "size": size,
        }
        wire = await self._call("shm.register", args, fds)
        return ShmRegisterResult.from_wire(wire)

    async def shm_release(
        self,
        *,
        shm: str,
    ) -> None:
        """Release a region; copies in flight through it end first.

        Args:
            shm: handle of the region
        """
        args: dict[str, Any] = {
            "shm": shm,
        }
        await self._call("shm.release", args)

    async def daemon_ping(self) -> None:
        """Do nothing and reply."""
        args: dict[str, Any] = {}
        await self._call("daemon.ping", args)

    async def daemon_status(self) -> DaemonStatusResult:
        """Show how the daemon is doing."""
        args: dict[str, Any] = {}
        wire = await self._call("daemon.status", args)
        return DaemonStatusResult.from_wire(wire)

    async def daemon_describe(self) -> DaemonDescribeResult:
        """Send this schema."""
        args: dict[str, Any] = {}
        wire = await self._call("daemon.describe", args)
        return DaemonDescribeResult.from_wire(wire)
