"""Copying between addresses, with libgpud and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gpud

ROOT = Path(__file__).resolve().parents[2]

# Prints whether libgpud does it.
COPIES = r"""
import ctypes
from gpud import _buffers

source = bytes(i * 7 % 251 for i in range(400))
start = _buffers.Pinned(source).address
for offset in range(65):
    for size in range(0, 260, 13):
        target = ctypes.create_string_buffer(b"\xee" * 400, 400)
        _buffers.stream(ctypes.addressof(target) + offset, start + offset // 2, size)
        expected = bytearray(b"\xee" * 400)
        expected[offset : offset + size] = source[offset // 2 : offset // 2 + size]
        assert target.raw == expected, (offset, size)
print(_buffers.stream is not _buffers.copy)
"""


@pytest.mark.parametrize("is_there", [True, False], ids=["libgpud", "alone"])
def test_stream_is_a_copy(is_there: bool, tmp_path: Path) -> None:
    if not is_there:
        # The first that is found, and of no use.
        (tmp_path / "libgpud.so.0").touch()
    done = subprocess.run(
        [sys.executable, "-c", COPIES],
        env=dict(
            os.environ,
            PYTHONPATH=str(Path(gpud.__file__).parents[1]),
            LD_LIBRARY_PATH=str(ROOT / "build" if is_there else tmp_path),
        ),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, f"{is_there}\n"), done.stderr
