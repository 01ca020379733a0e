"""GPU memory held by a daemon.

    async with gpud.connect() as client:
        devices = await client.devices()
        async with client.alloc(devices[0].device, 1 << 30) as mem:
            await mem.write(data)
            assert await mem.read(len(data)) == data

Errors are exceptions under gpud.Error, and kinds of the built-in ones: gpud.NotFoundError is a LookupError.
"""

from gpud import _schema, limits
from gpud._client import Client, connect
from gpud._errors import Error
from gpud._mem import Mem
from gpud._opening import Opening
from gpud._region import Region
from gpud._schema import *

__version__ = "0.1.0"

__all__ = ["Client", "Error", "Mem", "Opening", "Region", "connect", "limits"]
__all__ += _schema.__all__

# Tracebacks and help() call a class by the name that people import it by; the module it lies in may change.
for _name in __all__:
    if getattr(globals()[_name], "__module__", "").startswith("gpud."):
        globals()[_name].__module__ = "gpud"
del _name
