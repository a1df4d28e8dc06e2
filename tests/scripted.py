"""A pipeline over scripted providers: two of them, one router with failover, no network."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from llmgate import Pipeline
from llmgate.spec import Logger, Record, hookimpl
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import Answer, ScriptedTransport, json_answer, stream_answer

ENVIRONMENT = {"ALPHA_API_KEY": "key-of-alpha", "BETA_API_KEY": "key-of-beta"}
CONFIG: dict[str, Any] = {
    "providers": {
        "alpha": {"base-url": "https://alpha.test/v1"},
        "beta": {"base-url": "https://beta.test/v1"},
    },
    "routers": {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": ["alpha", "beta"]}}}},
    "loggers": [{"use": "collecting"}],
}
MESSAGES = [{"role": "user", "content": "hello"}]


class CollectingLogger(Logger[Any]):
    """Keeps every record."""

    name = "collecting"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.records: list[Record] = []

    async def record(self, record: Record) -> None:
        self.records.append(record)


class CollectingPlugin:
    """Registers the collecting logger."""

    @hookimpl
    def llmgate_register_loggers(self) -> type[CollectingLogger]:
        return CollectingLogger


class Bench:
    """An open pipeline with its script, its clock and the records it has left."""

    def __init__(self, pipeline: Pipeline, transport: ScriptedTransport, clock: FakeClock) -> None:
        self.pipeline = pipeline
        self.transport = transport
        self.clock = clock
        self.loggers = [logger for _, logger in pipeline.snapshot.loggers]

    @property
    def urls(self) -> list[str]:
        return [request.url for request in self.transport.requests]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.body or b"{}") for request in self.transport.requests]

    async def records(self) -> list[Record]:
        """Close the pipeline and say what was recorded."""
        await self.pipeline.aclose()
        collecting = self.loggers[0]
        assert isinstance(collecting, CollectingLogger)
        return collecting.records


OpenBench = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def bench() -> OpenBench:
    @asynccontextmanager
    async def open_bench(
        *answers: Answer, plugins: tuple[object, ...] = (), environment: dict[str, str] | None = None, **config: Any
    ) -> AsyncIterator[Bench]:
        transport = ScriptedTransport(answers)
        clock = FakeClock()
        pipeline = Pipeline.from_config(
            {**CONFIG, **config},
            environment=ENVIRONMENT if environment is None else environment,
            plugins=[CollectingPlugin(), *plugins],
            transport=transport,
            clock=clock,
        )
        async with pipeline:
            yield Bench(pipeline, transport, clock)

    return open_bench


def completion(text: str = "hi", **fields: Any) -> Answer:
    """A whole answer of a provider."""
    return json_answer(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "model-1",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"},
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
            **fields,
        },
        headers={"x-request-id": "upstream-1"},
    )


def failure(status: int, message: str = "no", **headers: str) -> Answer:
    """An error of a provider."""
    return json_answer({"error": {"message": message, "type": "some_error"}}, status=status, headers=headers)


def event(**fields: Any) -> bytes:
    """One event of a stream."""
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "model-1", **fields}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(text: str | None = None, finish: str | None = None, **fields: Any) -> bytes:
    """One event that carries a piece of the answer."""
    content = {} if text is None else {"content": text}
    return event(choices=[{"index": 0, "delta": {**content, **fields}, "finish_reason": finish}])


ROLE = delta(role="assistant", content="")
USAGE = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
DONE = b"data: [DONE]\n\n"


def streamed(*texts: str, cut: bool = False) -> Answer:
    """A stream of a provider; ``cut`` ends it before its terminal marker."""
    pieces = [ROLE, *(delta(text) for text in texts)]
    return stream_answer(*pieces) if cut else stream_answer(*pieces, delta(finish="stop"), USAGE, DONE)
