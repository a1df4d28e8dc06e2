"""Calls are told to a real gateway, from sync and async applications, while it is there, away and back again."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

from authorities import Authority
from end_to_end.gateways import gateway
from end_to_end.loopback import loopback
from llmgate.call_log import AsyncCallLogger, CallLogger, Counts, Delivery, DirectCall

KEY = "key-of-ann-0123456789012345678901234567890"
ECHO: dict[str, Any] = {"providers": {"echo": {}}}
KEYED = {**ECHO, "auth": [{"use": "static-keys", "keys": [{"name": "ann", "secret": "env:ANN"}]}]}
QUICK = Delivery(first_wait=0.01, longest_wait=0.05)
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
}
SECONDS = 20


def call(**fields: Any) -> DirectCall:
    now = time.time()
    said: dict[str, Any] = {
        "url": "https://api.openai.com/v1/chat/completions",
        "request": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]},
        "response": ANSWER,
        "started_at": now - 2,
        "ended_at": now,
    }
    return DirectCall(**{**said, **fields})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


async def test_an_asynchronous_application_has_its_calls_recorded_and_priced():
    async with loopback(KEYED, environment={"ANN": KEY}) as one:
        async with AsyncCallLogger(f"http://127.0.0.1:{one.port}", KEY) as calls:
            request = {"model": "gpt-4o-mini", "messages": []}
            assert calls.log(call(request=request, user="eve", session_id="s1", properties={"Env": "prod"}))
            request["model"] = "changed afterwards"
            assert await calls.flush()
            assert calls.counts == Counts(0, 1, 0)
        assert not calls.log(call())
        assert await calls.aclose()
        (record,) = await one.recorded(1)
        assert (record.principal, record.user, record.session_id) == ("ann", "eve", "s1")
        assert record.properties == {"env": "prod"}
        assert (record.provider_name, record.request_model, record.surface) == ("openai", "gpt-4o-mini", "log")
        assert record.cost_nano == 1000 * 150 + 500 * 600


async def test_what_is_told_twice_is_recorded_once():
    async with loopback(ECHO) as one, AsyncCallLogger(f"http://127.0.0.1:{one.port}") as calls:
        same = call()
        assert calls.log(same)
        assert calls.log(same)
        assert calls.log(call())
        assert await calls.flush()
        assert calls.counts == Counts(0, 3, 0)
        told = [record.id for record in await one.recorded(3) if record.operation == "chat"]
        assert len(told) == len(set(told)) == 2


async def test_a_gateway_that_refuses_loses_the_call_and_harms_nobody(caplog):
    async with loopback(KEYED, environment={"ANN": KEY}) as one:
        async with AsyncCallLogger(f"http://127.0.0.1:{one.port}", "no-such-key") as calls:
            assert calls.log(call())
            assert await calls.flush()
        assert calls.counts == Counts(0, 0, 1)
    assert "401" in caplog.text
    assert "no-such-key" not in caplog.text


async def test_flushing_gives_up_in_time_and_closing_too():
    async with AsyncCallLogger(f"http://127.0.0.1:{free_port()}", delivery=QUICK) as calls:
        assert calls.log(call())
        assert not await calls.flush(0.05)
        assert not await calls.aclose(0.05)
    assert calls.counts == Counts(0, 0, 1)


def test_what_cannot_be_written_is_dropped_and_raises_nothing(caplog):
    with CallLogger("http://127.0.0.1:9") as calls:
        assert not calls.log(call(request={"model": object()}))
        assert not calls.log(call(started_at=float("nan")))
        nothing: Any = None
        assert not calls.log(nothing)
        assert calls.counts == Counts(0, 0, 3)
    assert "a call is not recorded" in caplog.text


def test_an_address_that_is_none_is_said_at_once():
    with pytest.raises(ValueError, match="no address of a gateway"):
        CallLogger("localhost:8080")


def recorded(directory: Path, count: int) -> list[dict[str, Any]]:
    """The records of calls, once there are so many."""
    deadline = time.monotonic() + SECONDS
    found: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        path = directory / "records.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [record for line in lines if (record := json.loads(line))["operation"] == "chat"]
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def test_a_gateway_may_go_away_and_come_back(tmp_path):
    settings = {**ECHO, "loggers": [{"use": "json-lines", "path": "records.jsonl"}]}
    (tmp_path / "llmgate.yaml").write_text(json.dumps(settings))
    port = free_port()
    with CallLogger(f"http://127.0.0.1:{port}", delivery=QUICK) as calls:
        assert calls.log(call(user="before"))
        assert not calls.flush(0.05)
        with gateway(tmp_path, "--port", str(port)):
            assert calls.flush(SECONDS)
            assert calls.log(call(user="there"))
            assert calls.flush(SECONDS)
            assert [record["user"] for record in recorded(tmp_path, 2)] == ["before", "there"]
        for number in range(5):
            assert calls.log(call(user=f"away {number}"))
        assert not calls.flush(0.05)
        assert calls.counts == Counts(5, 2, 0)
        with gateway(tmp_path, "--port", str(port)):
            assert calls.flush(SECONDS)
            users = [record["user"] for record in recorded(tmp_path, 7)]
        assert sorted(users[2:]) == [f"away {number}" for number in range(5)]
        assert calls.counts == Counts(0, 7, 0)


def run(program: str, *arguments: str) -> str:
    head = "import os, sys, time\nfrom llmgate.call_log import CallLogger, Delivery, DirectCall\nnow = time.time()\n"
    made = "call = DirectCall(url='', request={'model': 'm'}, started_at=now, ended_at=now)\n"
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", head + made + program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=150,
    )
    return result.stdout


async def test_a_program_that_ends_without_closing_still_tells_its_calls():
    async with loopback(ECHO) as one:
        await asyncio.to_thread(run, "CallLogger(sys.argv[1]).log(call)", f"http://127.0.0.1:{one.port}")
        assert [record.request_model for record in await one.recorded(1)] == ["m"]


def test_a_program_ends_in_time_when_the_gateway_is_away():
    program = "CallLogger(sys.argv[1], delivery=Delivery(exit_timeout=0.1)).log(call)"
    run(program, f"http://127.0.0.1:{free_port()}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
async def test_the_child_of_a_fork_tells_its_own_calls_and_not_its_parents():
    program = """
calls = CallLogger(sys.argv[1])
calls.log(call)
assert calls.flush(20)
if not os.fork():
    calls.log(DirectCall(url='', request={'model': 'child'}, started_at=now, ended_at=now))
    os._exit(0 if calls.close(20) else 1)
_, status = os.wait()
print(status, calls.counts.sent)
"""
    async with loopback(ECHO) as one:
        said = await asyncio.to_thread(run, program, f"http://127.0.0.1:{one.port}")
        assert said.split() == ["0", "1"]
        assert sorted(record.request_model for record in await one.recorded(2)) == ["child", "m"]


def test_it_needs_neither_a_server_nor_an_http_library():
    program = "print([one for one in ('aiohttp', 'starlette', 'httpx2', 'asyncio.sslproto') if one in sys.modules][:3])"
    found = run(program)
    assert "aiohttp" not in found
    assert "starlette" not in found
    assert "httpx2" not in found


TLS_CONFIG = """\
providers: {echo: {}}
server:
  tls: {cert: tls.crt, key: tls.key}
loggers:
  - use: json-lines
    path: records.jsonl
"""


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.cert))


async def test_a_gateway_with_a_certificate_of_ones_own_authority_is_told_over_tls(tmp_path: Path):
    own, another = Authority(tmp_path / "own"), Authority(tmp_path / "another")
    issued = own.issue("DNS:localhost,IP:127.0.0.1", usage="serverAuth")
    shutil.copy(issued.cert, tmp_path / "tls.crt")
    shutil.copy(issued.key, tmp_path / "tls.key")
    (tmp_path / "llmgate.yaml").write_text(TLS_CONFIG)
    with gateway(tmp_path, "--config", "llmgate.yaml") as one:
        url = one.url.replace("http://", "https://")
        assert url.startswith("https://")
        trusted = attrs.evolve(QUICK, tls=trusting(own))
        with CallLogger(url, delivery=trusted) as calls:
            assert calls.log(call(user="sync"))
            assert calls.flush(SECONDS)
            assert calls.counts == Counts(0, 1, 0)
        async with AsyncCallLogger(url, delivery=trusted) as told:
            assert told.log(call(user="async"))
            assert await told.flush(SECONDS)
        for context in (None, trusting(another)):
            stranger = CallLogger(url, delivery=attrs.evolve(QUICK, tls=context))
            assert stranger.log(call(user="stranger"))
            assert not stranger.flush(0.5)
            assert stranger.counts == Counts(1, 0, 0), "nothing is told to who cannot prove who it is"
            stranger.close(0)
    told_of = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [record["user"] for record in told_of if record["operation"] == "chat"] == ["sync", "async"]
