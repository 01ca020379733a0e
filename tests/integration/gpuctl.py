"""gpuctl as the tests run it: with pipes, or on a terminal."""

import json
import os
import pty
import re
import subprocess
from typing import Any

from harness import ROOT

GPUCTL = os.path.abspath(os.environ.get("GPUCTL_BINARY", ROOT / "build/gpuctl"))
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Gpuctl:
    def __init__(self, socket: str) -> None:
        self.env = dict(os.environ, GPUD_SOCKET=socket, TERM="xterm")
        self.env.pop("NO_COLOR", None)

    def run(
        self, *words: str, code: int = 0, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> tuple[bytes, str]:
        """Runs it with pipes; returns what it wrote to stdout and stderr."""
        done = subprocess.run(
            [GPUCTL, *words],
            env=self.env | (env or {}),
            input=stdin,
            capture_output=True,
            timeout=120,
        )
        error = done.stderr.decode()
        assert done.returncode == code, (done.returncode, error)
        if code == 0:
            assert error == ""
        else:
            # One line that says what failed; never the whole help.
            assert error.startswith("gpuctl: ") and error.count("\n") == 1 and len(error) < 600
        return done.stdout, error

    def text(self, *words: str) -> str:
        return self.run(*words)[0].decode()

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json")[0])

    def fails(self, code: int, *words: str) -> str:
        output, error = self.run(*words, code=code)
        assert output == b""
        return error

    def screen(self, *words: str, columns: int = 200, env: dict[str, str] | None = None) -> str:
        """Runs it on a terminal."""
        master, slave = pty.openpty()
        os.set_blocking(master, True)
        subprocess.run(["stty", "columns", str(columns), "-onlcr"], stdin=slave, check=True)
        process = subprocess.Popen(
            [GPUCTL, *words], env=self.env | (env or {}), stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        output = b""
        try:
            while chunk := os.read(master, 65536):
                output += chunk
        except OSError:  # EIO: nobody has the other end any more
            pass
        os.close(master)
        assert process.wait(60) == 0, output
        return output.decode()


def own_commands(gpuctl: Gpuctl) -> dict[str, str]:
    """gpuctl's own commands and what each does: the first block of its help."""
    block = gpuctl.text("help").split("\n\n")[2]
    return dict(re.findall(r"^  (\S+) +(.*)$", block, re.MULTILINE))
