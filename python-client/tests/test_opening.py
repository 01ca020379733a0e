"""Calls that are awaited, stand in `async with` or become tasks: what they open ends, and none leaks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peer import DEVICE, Store
from test_arena import until

import gpud

pytestmark = pytest.mark.anyio

# Each call, and the request whose reply it waits for in the test of cancellation.
CALLS = [
    ("alloc", "mem.alloc"),
    ("put_file", "mem.alloc"),
    ("put_file", "mem.write"),
    ("region", "shm.register"),
]

Begin = Callable[[Store], gpud.Opening[Any]]


@pytest.fixture
def begin(call: str, tmp_path: Path) -> Begin:
    (tmp_path / "file").write_bytes(os.urandom(100_000))
    calls: dict[str, Begin] = {
        "alloc": lambda store: store.client.alloc(DEVICE, 10),
        "put_file": lambda store: store.client.put_file(tmp_path / "file", DEVICE),
        "region": lambda store: store.client.region(4096),
    }
    return calls[call]


@pytest.fixture
def left(call: str) -> Callable[[Store], int]:
    """How many objects have not ended. put_file() goes through regions that are the client's."""
    return lambda store: len(store.shms if call == "region" else store.mems)


@pytest.mark.parametrize("call", ["alloc", "put_file", "region"])
async def test_ends_with_the_block(begin: Begin, left: Callable[[Store], int]) -> None:
    async with Store() as store:
        async with begin(store) as opened:
            assert isinstance(opened, gpud.Mem | gpud.Region)
            assert left(store) == 1
        assert left(store) == 0
        with pytest.raises(KeyError):
            async with begin(store):
                raise KeyError
        assert left(store) == 0


@pytest.mark.parametrize("call", ["alloc", "put_file", "region"])
async def test_awaited_it_ends_by_itself_only(begin: Begin, left: Callable[[Store], int]) -> None:
    async with Store() as store:
        opened = await begin(store)
        assert left(store) == 1
        async with opened as same:
            assert same is opened
        assert left(store) == 0


@pytest.mark.parametrize("call", ["alloc", "put_file", "region"])
async def test_any_way_to_await(begin: Begin, left: Callable[[Store], int]) -> None:
    async with Store() as store:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(begin(store))
        second = asyncio.create_task(begin(store))
        assert "Opening" in repr(second)
        third, *others = await asyncio.gather(begin(store), second, asyncio.wait_for(begin(store), 10))
        assert len({first.result(), third, *others}) == 4
        assert left(store) == 4


@pytest.mark.parametrize(("call", "held"), CALLS)
async def test_cancelled_before_the_block_it_leaves_nothing(
    begin: Begin, left: Callable[[Store], int], held: str
) -> None:
    async with Store() as store:

        async def use() -> None:
            async with begin(store):
                pytest.fail("it was cancelled")

        store.held = {held}
        task = asyncio.create_task(use())
        await until(lambda: store.late)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        store.held = set()
        store.let_go()
        await until(lambda: left(store) == 0)


async def test_opening_by_handle() -> None:
    async with Store() as store:
        mem = await store.client.alloc(DEVICE, 10)
        async with store.client.open(mem.handle) as same:
            assert same.handle == mem.handle
        assert await mem.read() == bytes(10)
        await mem.close()
        assert not store.mems


async def test_runs_once_and_is_missed() -> None:
    async with Store() as store:
        call = store.client.alloc(DEVICE, 10)
        await call
        with pytest.raises(RuntimeError, match="already awaited"):
            await call
        with pytest.warns(RuntimeWarning, match=r"Client\.alloc.* was never awaited"):
            store.client.alloc(DEVICE, 10)
        with pytest.warns(RuntimeWarning, match=r"connect.* was never awaited"):
            gpud.connect()
