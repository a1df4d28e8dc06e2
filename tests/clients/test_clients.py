"""Real clients against ``llmgate serve``, each with a model behind it on loopback: `make test-clients`.

Each greets, and each does what the model asks of it with a tool of its own. They run with a home of their own and a
proxy that leads nowhere, so that what they would like to tell their makers stays here. What is not installed fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest

from clients.model import GREETING, Model, listening
from clients.table import BUILD, CLIENTS, MODEL, NOTE, Client, MissingError, Place, is_there
from end_to_end.dialects.table import DIALECTS
from end_to_end.gateways import Gateway, gateway

SECONDS = 90
NOWHERE = "http://127.0.0.1:9"
FOUND = "sesame 4711"

pytestmark = [pytest.mark.timeout(SECONDS + 30), pytest.mark.slow]

DIALECT = {one.name: one for one in DIALECTS}
RUN = [one for one in CLIENTS if is_there(one)]
CASES = [
    pytest.param(client, provider, id=f"{client.name}-over-{provider}")
    for client in RUN
    for provider in client.providers
]


@attrs.frozen
class Ended:
    """How a client has ended."""

    status: int | None
    output: str
    errors: str

    def __str__(self) -> str:
        return f"status {self.status}\n--- output\n{self.output}\n--- errors\n{self.errors}"


@asynccontextmanager
async def placed(directory: Path, client: Client, model: Model) -> AsyncIterator[tuple[Place, Gateway]]:
    """A gateway before the model, and a home for the client."""
    home, work = directory / "home", directory / "work"
    home.mkdir()
    work.mkdir()
    (work / NOTE).write_text(f"{FOUND}\n")
    async with listening(model) as upstream:
        provider = {"base-url": upstream.url, "format": model.dialect.name, "keyless": True}
        (directory / "llmgate.yaml").write_text(json.dumps({"providers": {"behind": provider}}))
        with gateway(directory, "--config", "llmgate.yaml") as one:
            place = Place(one.url, home, work)
            for name, text in client.files(place).items():
                (home / name).parent.mkdir(parents=True, exist_ok=True)
                (home / name).write_text(text)
            yield place, one


async def run(client: Client, place: Place, prompt: str) -> Ended:
    """Run a client to its end."""
    try:
        command = client.command(place, prompt)
        process = await started(client, place, command)
    except (MissingError, OSError) as error:
        log = BUILD / client.log
        said = log.read_text(errors="replace")[-2000:] if log.exists() else "nothing was installed"
        pytest.fail(f"{client.name} could not be started: {error}; its installation said: {said}")
    try:
        output, errors = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = await process.communicate()
        errors += f"\n{client.name} had not ended after {SECONDS} s".encode()
    return Ended(process.returncode, output.decode(errors="replace"), errors.decode(errors="replace"))


async def started(client: Client, place: Place, command: list[str]) -> asyncio.subprocess.Process:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(place.home),
        "TERM": "dumb",
        "HTTP_PROXY": NOWHERE,
        "HTTPS_PROXY": NOWHERE,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        **client.environment(place),
    }
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=place.work,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


def served(one: Gateway) -> list[dict[str, object]]:
    """The access log's lines about the client's requests for an answer."""
    lines = [json.loads(line) for line in one.lines if line.startswith('{"time"')]
    return [line for line in lines if line["method"] == "POST"]


@pytest.mark.parametrize(("client", "provider"), CASES)
async def test_a_client_is_greeted(client: Client, provider: str, tmp_path: Path) -> None:
    model = Model(DIALECT[provider])
    async with placed(tmp_path, client, model) as (place, one):
        ended = await run(client, place, "Please greet me, dear model.")
    assert ended.status == 0, str(ended)
    assert GREETING in ended.output, str(ended)
    assert any(b"Please greet me, dear model." in request.body for request in model.requests), (
        "the prompt did not arrive"
    )
    assert all(wanted(model, number) for number in range(len(model.requests))), "another model was asked for"
    statuses = {(line["path"], line["status"]) for line in served(one)}
    assert statuses, str(ended)
    assert {status for _, status in statuses} == {200}, statuses
    assert all(str(path).startswith(client.route) for path, _ in statuses), statuses


@pytest.mark.parametrize(("client", "provider"), CASES)
async def test_a_client_does_what_the_model_asks(client: Client, provider: str, tmp_path: Path) -> None:
    model = Model(DIALECT[provider], tool=client.tool, answer=client.answer)
    async with placed(tmp_path, client, model) as (place, _):
        if client.tool is not None:
            model.found, model.arguments = FOUND, client.arguments(place)
        ended = await run(client, place, f"Read {NOTE} and tell what it says.")
        written = (place.work / NOTE).read_text()
    assert ended.status == 0, str(ended)
    if client.tool is None:
        assert written == "written by the model\n", str(ended)
        return
    assert f"The file says: {FOUND}" in ended.output, str(ended)
    declared = [request for request in model.requests if json.dumps(client.tool).encode() in request.body]
    assert declared, f"the tool {client.tool} was never declared"
    told = [request.body for request in model.requests if FOUND.encode() in request.body]
    assert all(b'"call_1"' in body for body in told), "the result does not say which call it belongs to"


def wanted(model: Model, number: int) -> bool:
    """Whether a request is for the model that the client was told to use, without the provider's name."""
    name = MODEL.partition("/")[2]
    request = model.requests[number]
    return name in request.path or model.bodies[number].get("model") == name


def test_what_is_left_out_is_left_out_for_a_reason() -> None:
    """Codex speaks Responses alone; it is run as soon as that format is there."""
    assert {one.name for one in CLIENTS} - {one.name for one in RUN} <= {"codex"}
