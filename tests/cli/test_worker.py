"""A worker does what its supervisor says, and knows what to do when there is none."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
from typing import Any, Self

import attrs
import pytest

from llmgate.cli import worker
from llmgate.cli.channel import Channel
from llmgate.cli.job import Job, pack
from llmgate.config import ConfigText
from llmgate.config.model import ServerConfig

ECHO = "providers: {echo: {}}\n"


@pytest.fixture(autouse=True)
def surroundings(here, own_logging, monkeypatch):
    monkeypatch.setattr(gc, "freeze", lambda: None)


def packed(text: str) -> Any:
    return pack(ConfigText("llmgate.yaml", text))


class Employer:
    """The other end of the channel of a worker that runs in this process."""

    async def __aenter__(self) -> Self:
        ours, theirs = socket.socketpair()
        self.bound = socket.create_server(("127.0.0.1", 0))
        self.port = self.bound.getsockname()[1]
        self.task = asyncio.create_task(worker._work(theirs, [self.bound]))
        self.channel = await Channel.over(ours)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.aclose()
        await asyncio.wait_for(self.task, 10)
        self.bound.close()

    def order(self, text: str = ECHO, **server: Any) -> None:
        settings = attrs.asdict(ServerConfig(**{"shutdown_timeout": 1.0, "workers": 2, **server}))
        self.channel.send(job=attrs.asdict(Job()), server=settings, number=2, source=packed(text))

    async def hear(self) -> Any:
        return await asyncio.wait_for(self.channel.receive(), 10)

    async def models(self) -> list[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return [model["id"] for model in json.loads(answer.partition(b"\r\n\r\n")[2])["data"]]

    async def status(self) -> int:
        return await asyncio.wait_for(self.task, 10)


async def test_it_serves_when_told_and_ends_when_told(capsys):
    async with Employer() as employer:
        employer.order()
        message = await employer.hear()
        assert message["ready"][0].startswith("llmgate ")
        assert str(employer.port) in message["ready"][0]
        assert await employer.models() == ["echo/echo"]
        employer.channel.send(stop=True)
        assert await employer.status() == 0
    assert "is listening" not in capsys.readouterr().out, "the supervisor prints the start"


async def test_it_takes_a_configuration_only_when_the_others_can_too():
    both = ECHO + "routers: {}\n"
    new = "providers: {echo: {}, mine: {use: echo, models: [m]}}\n"
    async with Employer() as employer:
        employer.order(both)
        await employer.hear()
        employer.channel.send(reload=1, source=packed(new))
        assert await employer.hear() == {"prepared": 1, "problems": []}
        assert "mine/m" not in await employer.models()
        employer.channel.send(verdict=1, go=False)
        message = await employer.hear()
        assert message["prepared"] == 1
        assert message["problems"]
        employer.channel.send(reload=2, source=packed(new))
        assert await employer.hear() == {"prepared": 2, "problems": []}
        employer.channel.send(verdict=2, go=True)
        async with asyncio.timeout(5):
            while "mine/m" not in await employer.models():
                await asyncio.sleep(0.01)


async def test_it_says_why_it_cannot_take_a_configuration():
    async with Employer() as employer:
        employer.order()
        await employer.hear()
        employer.channel.send(reload=1, source=packed(ECHO + "loggers: [{use: json-lines, path: no/such/dir/x}]\n"))
        message = await employer.hear()
        assert "json-lines cannot open" in message["problems"][0]
        assert await employer.models() == ["echo/echo"]


async def test_it_says_why_it_cannot_start():
    async with Employer() as employer:
        employer.order("servr: {}\n")
        message = await employer.hear()
        assert message["status"] == 2
        assert "llmgate.yaml:1:1: " in message["failed"][0]
        assert await employer.status() == 1
    async with Employer() as employer:
        employer.order(ECHO + "loggers: [{use: json-lines, path: no/such/dir/x}]\n")
        assert (await employer.hear())["status"] == 1


async def test_it_takes_its_share_of_a_limit_or_says_that_there_is_none():
    rules = ECHO + "interceptors: [{use: request-rules, max-concurrent-attempts: 3}]\n"
    async with Employer() as employer:
        employer.order(rules, workers=4, local_share=True)
        message = await employer.hear()
        assert "max-concurrent-attempts: 3 cannot be divided among 4 workers" in message["failed"][0]


async def test_it_ends_when_the_supervisor_is_gone(capsys):
    async with Employer() as employer:
        employer.order()
        await employer.hear()
        await employer.channel.aclose()
        assert await employer.status() == 0
    assert "the supervisor is gone: worker 2 stops" in capsys.readouterr().err


async def test_it_ends_when_the_supervisor_dies_while_it_is_asked():
    async with Employer() as employer:
        employer.order()
        await employer.hear()
        employer.channel.send(reload=1, source=packed(ECHO))
        assert await employer.hear() == {"prepared": 1, "problems": []}
        await employer.channel.aclose()
        assert await employer.status() == 0


async def test_without_an_order_it_does_nothing():
    async with Employer() as employer:
        await employer.channel.aclose()
        assert await employer.status() == 1


async def test_sigterm_ends_it_in_order():
    async with Employer() as employer:
        employer.order()
        await employer.hear()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await employer.status() == 0


async def test_its_log_says_which_worker_it_is():
    async with Employer() as employer:
        employer.order(ECHO + "telemetry: {format: json, level: debug}\n")
        await employer.hear()
        handler = logging.getLogger("llmgate").handlers[0]
        record = logging.LogRecord("llmgate", logging.INFO, "", 0, "x", (), None)
        assert json.loads(handler.format(record))["worker"] == 2
        assert logging.getLogger("llmgate").level == logging.DEBUG
        assert handler.stream is sys.stderr  # type: ignore[attr-defined]
