"""Threads for what would hold up the event loop: copying, and files.

Not concurrent.futures' pool: where no thread can be started that one raises, and has queued the work all the
same, to be done by somebody later or by nobody ever.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar, TypeVarTuple

from gpud._connection import CLOSED
from gpud._settle import settled

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Threads:
    """A few threads, each started when first needed.

    Where the system gives fewer, fewer do the work; where it gives none, the caller's does, and its loop
    stands still meanwhile.
    """

    def __init__(self, n: int, name: str) -> None:
        self._n_max = n
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._n_threads = 0
        self._n_jobs = 0
        """queued or under way"""
        self._end_all = weakref.finalize(self, self._jobs.put, None)

    @property
    def is_open(self) -> bool:
        """False once closed."""
        return self._end_all.alive

    def start(self, work: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Queues `work(*args)`; the future ends with it."""
        if not self.is_open:
            raise CLOSED.error()
        outcome: Future[T] = Future()
        outcome.add_done_callback(self._end_job)
        job = functools.partial(_do, outcome, work, args)
        with self._lock:
            self._n_jobs += 1
            if self._n_jobs > self._n_threads < self._n_max:
                self._grow()
            has_threads = self._n_threads > 0
        if has_threads:
            self._jobs.put(job)
        else:
            job()
        return asyncio.wrap_future(outcome)

    async def run(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """The result of `work(*args)`. A cancellation takes effect when the work has ended."""
        return await settled(self.start(work, *args))

    def close(self) -> None:
        """What has been queued still runs; then the threads end."""
        self._end_all()

    def _grow(self) -> None:
        thread = threading.Thread(
            target=_serve, args=(self._jobs,), name=f"{self._name}-{self._n_threads}", daemon=True
        )
        try:
            thread.start()
        except (RuntimeError, MemoryError):
            # The process, its user or its container has as many as it may have.
            return
        self._n_threads += 1

    def _end_job(self, _: Future[T]) -> None:
        with self._lock:
            self._n_jobs -= 1


def _do(outcome: Future[T], work: Callable[[*Ts], T], args: tuple[*Ts]) -> None:
    if not outcome.set_running_or_notify_cancel():
        return
    try:
        result = work(*args)
    except BaseException as error:
        outcome.set_exception(error)
        # The error refers to this frame.
        del outcome
    else:
        outcome.set_result(result)


def _serve(jobs: SimpleQueue[Callable[[], None] | None]) -> None:
    """One thread. Refers to no Threads, which end with the last reference to them."""
    while (job := jobs.get()) is not None:
        job()
        del job
    # For the next one.
    jobs.put(None)
