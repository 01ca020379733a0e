"""A file that is written from its first byte on, in no other order: a pipe, a terminal, /dev/null."""

from __future__ import annotations

import os
import select

from gpud._files import File

# Of what waits for a reader. A cancellation waits for it as well.
WAIT_MS = 100


class Stream(File):
    """What a path leads to that is neither a regular file nor a block device. Its descriptor never blocks."""

    def write_some(self, data: memoryview) -> int:
        """Writes what there is room for, and waits a little where there is none. Returns how many bytes."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        if not poll.poll(WAIT_MS):
            return 0
        with self._named():
            try:
                return os.write(self._fd, data)
            except BlockingIOError:
                return 0
