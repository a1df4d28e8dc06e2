"""TLS on the way to the server: whose certificate is believed, and the client's own."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from llmgate_redis.store import Redis

from llmgate.spec import PluginError

OpenStore = Callable[..., Awaitable[Redis]]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, and ``key.pem`` beside it."""
    openssl = shutil.which("openssl")
    assert openssl is not None, "install openssl: these tests make a certificate"
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=elsewhere"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return tmp_path / "cert.pem"


@pytest.fixture
async def encrypted(proxy: Any, certificate: Path) -> Any:
    """The proxy, spoken to by TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    context.load_verify_locations(certificate)
    await proxy.stop()
    proxy.tls = context
    await proxy.start()
    return proxy


async def test_a_certificate_that_is_believed(open_store: OpenStore, encrypted: Any) -> None:
    store = await open_store(url=encrypted.url, ca_file=Path("cert.pem"))
    await store.put("k", b"v")
    assert await store.get("k") == b"v"


async def test_the_clients_own_certificate(open_store: OpenStore, encrypted: Any) -> None:
    encrypted.tls.verify_mode = ssl.CERT_REQUIRED
    with pytest.raises(PluginError, match="cannot be used"):
        await open_store(url=encrypted.url, ca_file=Path("cert.pem"))
    own = {"certificate_file": Path("cert.pem"), "key_file": Path("key.pem")}
    assert await (await open_store(url=encrypted.url, ca_file=Path("cert.pem"), **own)).add("k") == 1


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"], ids=["unknown", "another-name"])
async def test_a_certificate_that_is_not_believed_stops_the_start(
    open_store: OpenStore, encrypted: Any, name: str
) -> None:
    ca = {} if name == "127.0.0.1" else {"ca_file": Path("cert.pem")}
    with pytest.raises(PluginError, match="cannot be used"):
        await open_store(url=encrypted.url.replace("127.0.0.1", name), **ca)
