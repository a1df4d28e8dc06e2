"""moto's server on loopback in place of AWS, and stores that reach it wherever they look for a region."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs
import boto3
import pytest
from moto.server import ThreadedMotoServer

from llmgate.spec import Secret, SecretNotFoundError, SecretRef, SecretStore, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.wire.transport import AiohttpTransport

REGION = "eu-central-1"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDCANARY", "AWS_SECRET_ACCESS_KEY": "secret-of-the-gateway"}
_NUMBERS = itertools.count(1)


@attrs.frozen
class Aws:
    """A running server, asked as its administrator."""

    address: str

    def client(self, service: str, region: str = REGION) -> Any:
        """AWS's own client of a service."""
        keys = {"aws_access_key_id": "admin", "aws_secret_access_key": "admin"}
        return boto3.client(service, region_name=region, endpoint_url=self.address, **keys)

    def new_name(self) -> str:
        """A name that no other test uses."""
        return f"llmgate/test-{next(_NUMBERS)}"


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Aws(f"http://{host}:{port}")
    server.stop()


class Redirected(AiohttpTransport):
    """The gateway's transport, which finds AWS's addresses at the server, and nobody in the regions that are down."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.down: set[str] = set()
        self.asked: list[Any] = []

    async def open_stream(self, request: Any) -> Any:
        self.asked.append(request)
        down = any(region in request.url for region in self.down)
        origin = "http://127.0.0.1:1" if down else self.address
        url = request.url.replace(request.origin, origin)
        return await super().open_stream(attrs.evolve(request, url=url, origin=origin))


class Opener:
    """Opens stores, and closes them."""

    def __init__(self, aws: Aws, directory: Path) -> None:
        self.aws = aws
        self.directory = directory
        self.clock = FakeClock()
        self.transport = Redirected(aws.address)
        self.secrets: dict[str, str] = {}
        self.environment = dict(KEYS)
        self.stores: list[SecretStore[Any]] = []

    async def __call__(self, store_class: Any, **config: Any) -> Any:
        async def fetch_secret(ref: SecretRef) -> Secret:
            if str(ref) not in self.secrets:
                raise SecretNotFoundError(f"{ref} is not set")
            return Secret(self.secrets[str(ref)], ref=ref)

        no_state: Any = None
        context = StageContext(
            "secrets.aws", self.clock, self.transport, fetch_secret, no_state, self.environment, self.directory
        )
        store = store_class(
            store_class.config_class(**{"region": REGION, "timeout": 20, "identity_timeout": 40, **config})
        )
        await store.open(context)
        self.stores.append(store)
        return store


@pytest.fixture
async def opened(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opener]:
    for name in (
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        *KEYS,
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    opener = Opener(aws, tmp_path)
    yield opener
    for store in opener.stores:
        await store.aclose()
    await opener.transport.aclose()
