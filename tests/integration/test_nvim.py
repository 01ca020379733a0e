"""Any msgpack-RPC client will do: a stock Neovim lists devices, allocates, fills, reads and frees."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest
from harness import Daemon

SCRIPT = """
let s:channel = sockconnect('pipe', $GPUD_TEST_SOCKET, {'rpc': 1})
let s:result = {}
let s:result.devices = map(rpcrequest(s:channel, 'device.list', {}).devices, {_, d -> d.device})
let s:mem = rpcrequest(s:channel, 'mem.alloc', {'device': 'vulkan:0', 'size': 1000, 'name': 'from nvim'})
let s:result.size = s:mem.size
call rpcrequest(s:channel, 'mem.fill', {'mem': s:mem.mem, 'offset': 1, 'size': 998, 'pattern': 'ab'})
call rpcrequest(s:channel, 'mem.write', {'mem': s:mem.mem, 'offset': 0, 'data': 'X'})
let s:result.data = rpcrequest(s:channel, 'mem.read', {'mem': s:mem.mem, 'offset': 0, 'size': 999}).data
let s:result.held = len(rpcrequest(s:channel, 'mem.list', {}).mems)
try
  call rpcrequest(s:channel, 'mem.read', {'mem': s:mem.mem, 'offset': 1000, 'size': 1})
catch
  let s:result.error = v:exception
endtry
call rpcrequest(s:channel, 'mem.free', {'mem': s:mem.mem})
let s:result.left = len(rpcrequest(s:channel, 'mem.list', {}).mems)
let s:result.ping = rpcrequest(s:channel, 'daemon.ping')
call writefile([json_encode(s:result)], $GPUD_TEST_RESULT)
qall!
"""


@pytest.mark.skipif(shutil.which("nvim") is None, reason="no Neovim here")
def test_stock_neovim(daemon: Daemon, tmp_path: pathlib.Path) -> None:
    script = tmp_path / "script.vim"
    script.write_text(SCRIPT)
    result_path = tmp_path / "result.json"
    done = subprocess.run(
        ["nvim", "--clean", "--headless", "-S", str(script), "-c", "cquit"],
        env=dict(os.environ, GPUD_TEST_SOCKET=daemon.socket, GPUD_TEST_RESULT=str(result_path)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(result_path.read_text())
    assert result["devices"][0] == "vulkan:0"
    assert result["size"] == 1000
    assert result["data"] == "X" + "ab" * 499
    assert (result["held"], result["left"]) == (1, 0)
    assert result["ping"] == {}
    # Neovim can show no error that is a map; that there was one it says.
    assert "Error invoking 'mem.read'" in result["error"]
