"""GPU memory held by a daemon.

    async with gpud.connect() as client:
        devices = await client.devices()
        async with await client.alloc(devices[0].device, 1 << 30) as mem:
            await mem.write(data)
            assert await mem.read(len(data)) == data

Errors are exceptions under gpud.Error, and kinds of the built-in ones: gpud.NotFoundError is a LookupError.
"""

from gpud import _schema
from gpud._schema import *
from gpud.client import Client, Connecting, connect
from gpud.errors import Error
from gpud.mem import Mem
from gpud.region import Region

__all__ = ["Client", "Connecting", "Error", "Mem", "Region", "connect"]
__all__ += _schema.__all__
