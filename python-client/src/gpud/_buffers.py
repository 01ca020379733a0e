"""Addresses: what Python hides and copying without the interpreter's lock needs.

ctypes lets other threads run while memmove() does its work; a slice assignment does not, and preadv() into a
memfd is four times slower.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import operator
import os
import re
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from gpud import _headroom, _schema

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Since Linux 5.14; not in Python's mmap.
MADV_POPULATE_WRITE = 23

HUGE_PAGE = 2 << 20

_POPULATE_STEP = 64 << 20
_DROP_STEP = 4 << 20

_PYBUF_SIMPLE = 0
_PYBUF_WRITABLE = 1


class _PyBuffer(ctypes.Structure):
    """Py_buffer of the stable ABI."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = (ctypes.py_object, ctypes.POINTER(_PyBuffer), ctypes.c_int)
_get_buffer.restype = ctypes.c_int
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = (ctypes.POINTER(_PyBuffer),)
_release_buffer.restype = None
_new_bytes = ctypes.pythonapi.PyBytes_FromStringAndSize
_new_bytes.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t)
_new_bytes.restype = ctypes.py_object

_libc = ctypes.CDLL(None, use_errno=True)
_madvise = _libc.madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_madvise.restype = ctypes.c_int

copy = ctypes.memmove
"""copy(dst, src, size) between addresses; other threads run meanwhile"""


def _find_stream() -> Callable[[int, int, int], Any]:
    try:
        function = ctypes.CDLL("libgpud.so.0").gpud_stream_copy
    except (OSError, AttributeError):
        return copy
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    function.restype = None
    return function


stream = _find_stream()
"""stream(dst, src, size): copy() for what is not looked at soon, past the caches where libgpud is there"""


def plain_range(
    offset: SupportsIndex, size: SupportsIndex | None, whole: int, *, of: str, name: str = "offset"
) -> tuple[int, int]:
    """A range `of` something with `whole` bytes, to the end without a size, as numbers of Python's own: those
    of numpy wrap around. Raises OutOfRangeError, in gpud's words, if it lies outside."""
    offset = operator.index(offset)
    size = max(whole - offset, 0) if size is None else operator.index(size)
    if offset < 0 or size < 0 or offset + size > whole:
        raise _schema.OutOfRangeError(f"{name} {offset} + size {size} exceeds {of} size {whole}")
    return offset, size


def view_of(buffer: Buffer, *, writable: bool = False) -> memoryview:
    """The bytes of any C-contiguous buffer; they are what its memory holds, whatever its elements are.

    Raises InvalidArgumentError if it is not contiguous or, where it must be, not writable, or if its elements
    are references to Python objects.
    """
    try:
        view = memoryview(buffer)
    except (TypeError, ValueError):
        if not hasattr(buffer, "__array_interface__"):
            raise
        view = _view_of_array(buffer, writable)
    if not view.c_contiguous:
        raise _not_contiguous(buffer, view, writable)
    # Names stand between colons, O is an object's address.
    if "O" in view.format and "O" in re.sub(":.*?:", "", view.format):
        raise _of_objects(buffer)
    if writable and view.readonly:
        raise _schema.InvalidArgumentError(
            f"the buffer ({type(buffer).__name__}) is read-only",
            hint="read into a bytearray, a writable memoryview or a numpy array",
        )
    return view


def _view_of_array(array: Any, writable: bool) -> memoryview:
    """The bytes of a numpy array whose elements have no format in Python's buffers: bfloat16, datetime64."""
    if not array.flags.c_contiguous:
        raise _not_contiguous(array, array, writable)
    try:
        return memoryview(array.reshape(-1).view("u1"))
    except TypeError:
        raise _of_objects(array) from None


def _not_contiguous(buffer: object, shaped: Any, writable: bool) -> _schema.InvalidArgumentError:
    return _schema.InvalidArgumentError(
        f"the buffer is not C-contiguous: {type(buffer).__name__} of shape {shaped.shape}, "
        f"strides {shaped.strides}",
        hint="read into a C-contiguous buffer and copy it from there"
        if writable
        else "copy it first, with numpy.ascontiguousarray()",
    )


def _of_objects(buffer: object) -> _schema.InvalidArgumentError:
    return _schema.InvalidArgumentError(
        f"the buffer ({type(buffer).__name__}) holds references to Python objects, useless on a device",
        hint="make an array of numbers of it, or bytes with pickle",
    )


class Pinned:
    """A buffer held at its address, as a context manager: its memory stays until the exit."""

    def __init__(self, buffer: Buffer, *, writable: bool = False) -> None:
        """Raises as view_of() does."""
        view = view_of(buffer, writable=writable)
        self._buffer = _PyBuffer()
        flags = _PYBUF_WRITABLE if writable else _PYBUF_SIMPLE
        # Raises by itself, as every function of ctypes.pythonapi does.
        _get_buffer(view, ctypes.byref(self._buffer), flags)
        self.address: int = self._buffer.buf or 0
        self.size: int = self._buffer.len

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _release_buffer(ctypes.byref(self._buffer))


def new_bytes(size: int) -> bytes:
    """A bytes object with undefined contents, to be written through its address before anybody sees it.

    At least 2 bytes: Python shares the shorter ones.
    """
    assert size >= 2
    data: bytes = _new_bytes(None, size)
    return data


def prefer_huge_pages(address: int, size: int) -> None:
    """Lets fresh memory come in pages of 2 MiB: five times faster to touch for the first time."""
    start = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (address + size) // mmap.PAGESIZE * mmap.PAGESIZE
    if end > start:
        _madvise(start, end - start, mmap.MADV_HUGEPAGE)


def populate(address: int, size: int) -> None:
    """Makes the kernel find all pages of a mapping now, and raises MemoryError where it cannot.

    Without it, what lacks memory ends in SIGBUS at the first touch.
    """
    what = f"a region of {size} bytes"
    for start in range(0, size, _POPULATE_STEP):
        step = min(_POPULATE_STEP, size - start)
        # All of it first, then again and again, since others want memory as well.
        _headroom.check(step if start else size, what)
        if _madvise(address + start, step, MADV_POPULATE_WRITE) == 0:
            continue
        error = ctypes.get_errno()
        # An older kernel does not know the advice.
        if error == errno.EINVAL:
            return
        raise MemoryError(f"no host memory for {what}: {os.strerror(error)}")


def drop_pages(address: int, size: int) -> None:
    """Takes the pages out of a shared mapping, and lets others map meanwhile, as munmap() does not."""
    for start in range(0, size, _DROP_STEP):
        _madvise(address + start, min(_DROP_STEP, size - start), mmap.MADV_DONTNEED)


def address_of(memory: Any) -> int:
    """The address of a writable mapping, which must outlive its use."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
