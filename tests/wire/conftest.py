"""What the wire's tests share: requests to fill in, a transport, a mock that fits aiohttp 3.14."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import aioresponses.core
import pytest

from llmgate.spec import ProviderRequest, Timeouts
from llmgate.testing.upstream import FakeUpstream
from llmgate.wire.transport import AiohttpTransport


class MockableResponse(aiohttp.ClientResponse):
    """aioresponses 0.7.9 does not know of ``stream_writer``, which aiohttp asks for since 3.14."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)


@pytest.fixture
def mocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses.aioresponses]:
    """aiohttp with its network taken away. Bodies come in one piece: it proves nothing about streams."""
    monkeypatch.setattr(aioresponses.core, "ClientResponse", MockableResponse)
    with aioresponses.aioresponses() as mock:
        yield mock


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as server:
        yield server


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    made = AiohttpTransport()
    yield made
    await made.aclose()


RequestMaker = Callable[..., ProviderRequest]


@pytest.fixture
def ask(upstream: FakeUpstream) -> RequestMaker:
    """Makes requests to the fake upstream."""

    def make(
        path: str = "/v1/chat/completions",
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = b'{"model":"m","messages":[{"role":"user","content":"hello wide world"}]}',
        stream: bool = False,
        **fields: Any,
    ) -> ProviderRequest:
        if stream:
            body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hello wide world"}]}'
        settings: dict[str, Any] = {
            "method": "POST" if body is not None else "GET",
            "url": upstream.url + path,
            "headers": {"authorization": "Bearer s3cret", "content-type": "application/json", **(headers or {})},
            "body": body,
            "provider_name": "fake",
            "origin": upstream.url,
            "pool": "fake#1",
            "timeouts": Timeouts(connect=2, first_byte=5, idle=5),
        }
        return ProviderRequest(**{**settings, **fields})

    return make


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a certificate where nothing can make one; a test that is skipped looks like one that ran."""
    if shutil.which("openssl") is None:
        left_out = [item for item in items if "certificate" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody trusts, with its key."""
    openssl = shutil.which("openssl")
    assert openssl is not None, "tests that need a certificate are not collected where openssl is missing"
    path = tmp_path / "server.pem"
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    extension = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(tmp_path / "cert.pem")]
    subprocess.run([*command.split(), *extension], check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "cert.pem").read_text())
    return path
