"""The way into a pipeline: which loop it runs on, and what happens when that loop is not there."""

from __future__ import annotations

import asyncio

import pytest

from llmgate import BlockingPipeline, Pipeline
from llmgate.sdk.door import Door, PipelineClosedError

ECHO = {"providers": {"echo": {}}}


async def where() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def test_a_pipeline_of_this_loop_is_reached_without_a_detour():
    async with Pipeline.from_config(ECHO, environment={}) as pipeline:
        door = Door(pipeline, None)
        assert door.loop is asyncio.get_running_loop()
        assert await door.run(where()) is door.loop
        assert await asyncio.to_thread(door.run_blocking, where()) is door.loop
        with pytest.raises(RuntimeError, match="use the async client"):
            door.run_blocking(where())


async def test_a_blocking_pipeline_is_reached_from_any_loop_and_thread():
    with BlockingPipeline.from_config(ECHO, environment={}) as pipeline:
        door = Door(pipeline, None)
        assert await door.run(where()) is pipeline.loop is not asyncio.get_running_loop()
        assert await asyncio.to_thread(door.run_blocking, where()) is pipeline.loop
    with pytest.raises(PipelineClosedError, match="not open"):
        await door.run(where())
    with pytest.raises(PipelineClosedError, match="not open"):
        door.run_blocking(where())


def test_a_pipeline_without_a_loop_is_refused():
    with pytest.raises(RuntimeError, match="event loop"):
        Door(Pipeline.from_config(ECHO, environment={}), None)


async def test_a_loop_that_is_gone_is_a_closed_pipeline():
    doors = []

    async def make() -> None:
        doors.append(Door(Pipeline.from_config(ECHO, environment={}), None))

    await asyncio.to_thread(asyncio.run, make())
    with pytest.raises(PipelineClosedError, match="was closed"):
        await doors[0].run(where())
    with pytest.raises(PipelineClosedError, match="was closed"):
        await asyncio.to_thread(doors[0].run_blocking, where())


async def test_work_that_is_cut_over_there_is_no_cancellation_here():
    async def cut() -> None:
        raise asyncio.CancelledError

    with BlockingPipeline.from_config(ECHO, environment={}) as pipeline:
        door = Door(pipeline, None)
        with pytest.raises(PipelineClosedError):
            await door.run(cut())
        with pytest.raises(PipelineClosedError):
            await asyncio.to_thread(door.run_blocking, cut())


async def test_cancelling_here_cancels_over_there():
    begun, ended = asyncio.Event(), asyncio.Event()
    here = asyncio.get_running_loop()

    async def wait() -> None:
        here.call_soon_threadsafe(begun.set)
        try:
            await asyncio.Event().wait()
        finally:
            here.call_soon_threadsafe(ended.set)

    with BlockingPipeline.from_config(ECHO, environment={}) as pipeline:
        running = asyncio.ensure_future(Door(pipeline, None).run(wait()))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.wait_for(ended.wait(), 5)
