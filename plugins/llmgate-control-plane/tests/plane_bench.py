"""What the tests share: a control plane on loopback that says what a test wants, and gateways' ends of its line."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from llmgate_control_plane import ControlPlane, ControlPlaneConfig

from llmgate.spec import (
    AuthenticationError,
    Clock,
    Credentials,
    GatewayError,
    Peppers,
    Principal,
    Secret,
    SecretNotFoundError,
    SecretRef,
    SharedKey,
    StageContext,
    SystemClock,
)
from llmgate.testing.upstream_sockets import FakeSocketUpstream
from llmgate.wire.transport import AiohttpTransport

CREDENTIAL: Final = "sk-helicone-gateway-credential"
PEPPER: Final = "0123456789abcdef0123456789abcdef"
SEAL: Final = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
SECRETS: Final = {
    "env:HELICONE_CONTROL_PLANE_API_KEY": CREDENTIAL,
    "env:LLMGATE_KEY_PEPPER": PEPPER,
    "env:SNAPSHOT_KEY": SEAL,
}
KEY: Final = "sk-helicone-test-key"
OTHER: Final = "sk-helicone-other-key"


def helicone_key(key: str, owner: str = "owner-1", organization: str = "org-1") -> dict[str, str]:
    """A key as Helicone's control plane tells it."""
    digest = hashlib.sha256(f"Bearer {key}".encode()).hexdigest()
    return {"keyHash": digest, "ownerId": owner, "organizationId": organization}


def full(*keys: str) -> str:
    """The full state as Helicone's control plane tells it."""
    data = {"auth": {"userId": "u", "organizationId": "o"}, "keys": [helicone_key(key) for key in keys]}
    return json.dumps({"_type": "Update", "Config": {"data": data}})


def listed(*keys: str) -> str:
    """All keys, as Helicone's control plane tells a change."""
    return json.dumps({"_type": "Update", "Keys": {"data": [helicone_key(key) for key in keys]}})


def name_of(key: str) -> str:
    """What an issued key is called."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def issued(key: str, **fields: Any) -> SharedKey:
    """A key of llmgate's own; its principal is called as it is."""
    peppers = Peppers([PEPPER.encode()])
    who = Principal(id=name_of(key), issuer="issued-keys", kind="team", attributes={"owner": "jane"})
    common = {"id": name_of(key), "hash": peppers.hash_of(key), "pepper_id": peppers.current, "principal": who}
    return SharedKey(**{**common, **fields})


def make_context(
    directory: Path, *, secrets: Mapping[str, str] = SECRETS, clock: Clock | None = None, transport: Any = None
) -> StageContext:
    """What a stage is opened with, at the real transport."""

    async def fetch(ref: SecretRef) -> Secret:
        if str(ref) not in secrets:
            raise SecretNotFoundError(f"{ref} is not set")
        return Secret(secrets[str(ref)], ref)

    no_state: Any = None
    return StageContext(
        "auth[0]", clock or SystemClock(), transport or AiohttpTransport(), fetch, no_state, {}, directory
    )


async def answer(stage: ControlPlane, key: str) -> str:
    """What a caller is told: its principal's id, or the error's code."""
    try:
        found = await stage.authenticate(Credentials.of(key))
    except AuthenticationError as refused:
        return refused.reason
    except GatewayError as failure:
        return failure.code
    return "nobody" if found is None else found.id


async def until(true: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what it waits for knows of no event
            await asyncio.sleep(0.005)


async def until_told(stage: ControlPlane, key: str, wanted: str, seconds: float = 10.0) -> None:
    """Wait until a caller is told something."""
    async with asyncio.timeout(seconds):
        while (told := await answer(stage, key)) != wanted:
            assert told, "there is an answer"
            await asyncio.sleep(0.005)


class Opener:
    """Opens stages, each as a gateway's own process would, and closes them."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url = url
        self.directory = directory
        self.stages: list[tuple[ControlPlane, AiohttpTransport]] = []

    async def __call__(self, *, context: StageContext | None = None, **config: Any) -> ControlPlane:
        """A stage, open; in haste where a test says nothing else."""
        hasty = {"url": self.url, "min_delay": 0.05, "max_delay": 0.2, "timeout": 5.0, "heartbeat": 5.0}
        context = context or make_context(self.directory)
        stage = ControlPlane(ControlPlaneConfig(**{**hasty, **config}))
        self.stages.append((stage, context.transport))  # type: ignore[arg-type]
        await stage.open(context)
        return stage

    async def aclose(self) -> None:
        """Close them all."""
        for stage, transport in self.stages:
            await stage.aclose()
            await transport.aclose()


@pytest.fixture
async def plane() -> AsyncIterator[FakeSocketUpstream]:
    """A control plane; what it says is said by what it is made to play."""
    async with FakeSocketUpstream(subprotocols=()) as upstream:
        yield upstream


@pytest.fixture
async def opener(plane: FakeSocketUpstream, tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens stages at that control plane."""
    one = Opener(f"ws://127.0.0.1:{plane.port}/ws/v1/router/control-plane", tmp_path)
    yield one
    await one.aclose()


def saying(*messages: str | bytes, then: asyncio.Event | None = None) -> Callable[[Any], Any]:
    """What a connection of a control plane plays: some messages, and silence until the event, or for ever."""

    async def play(socket: Any) -> None:
        for message in messages:
            await socket.send(message)
        if then is not None:
            await then.wait()

    return play


def update(name: str, **value: Any) -> str:
    """A message of llmgate's own."""
    return json.dumps({"_type": "Update", name: value})


def evolved(key: SharedKey, **changes: Any) -> SharedKey:
    """The same key with something else."""
    return attrs.evolve(key, **changes)
