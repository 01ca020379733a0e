"""The demo's half in Python: `demo.py SHA256` reads the allocation `demo`, copies it on the device to
`demo/copy`, and compares both with the sum of the file that gpuctl put there."""

import asyncio
import hashlib
import sys
import time

import gpud


def lap(what: str, began: float, size: int) -> None:
    elapsed = time.monotonic() - began
    print(f"    {what:<50} {elapsed:8.3f} s   {size / elapsed / 1e9:6.2f} GB/s")


async def main(expected: str) -> None:
    async with gpud.connect() as client:
        (info,) = await client.mems(name_prefix="demo")
        mem = await client.open(info.mem)
        began = time.monotonic()
        data = await mem.read()
        lap("await mem.read()", began, mem.size)
        assert hashlib.sha256(data).hexdigest() == expected, "what was read is not what was put"
        copy = await client.alloc(mem.device, mem.size, name="demo/copy", lifetime="persistent")
        began = time.monotonic()
        await mem.copy_to(copy)
        lap("await mem.copy_to(copy)", began, mem.size)
        assert await copy.read() == data, "the copy is not the same"


asyncio.run(main(sys.argv[1]))
