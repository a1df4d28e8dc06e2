"""What a reference finds at a real server: fields, versions, namespaces, leases; what it says of the rest."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bao_server import ROOT, free_port
from llmgate_vault.config import VaultConfig
from llmgate_vault.store import Vault
from vault_opener import Opener, ref

from llmgate import Pipeline
from llmgate.spec import ConfigError, SecretCaching, SecretNotFoundError, SecretUnavailableError, StageContext
from llmgate.testing.upstream import FakeUpstream

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def admin(opened: Opener) -> Opener:
    """Stores whose token may do everything."""
    opened.secrets["env:VAULT_TOKEN"] = ROOT
    return opened


async def test_a_field_a_version_and_a_value_that_is_no_text(admin: Opener, bao: Any, kv: str) -> None:
    store = await admin()
    found = await store.fetch(ref(f"{kv}/openai#api_key"))
    assert (found.reveal(), found.version) == ("sk-canary", "1")
    bao.call("POST", f"{kv}/data/openai", {"data": {"api_key": {"type": "service_account"}}})
    found = await store.fetch(ref(f"{kv}/openai"))
    assert (found.reveal(), found.version) == ('{"type": "service_account"}', "2")
    bao.call("POST", f"{kv}/data/team%20a/key", {"data": {"v": "deep"}})
    assert (await store.fetch(ref(f"{kv}/team a/key"))).reveal() == "deep"


async def test_the_version_of_kv_may_be_said(opened: Opener, bao: Any, kv: str) -> None:
    one = bao.mount("kv", version="1")
    bao.call("POST", f"{one}/openai", {"key": "of-version-1"})
    opened.secrets["env:VAULT_TOKEN"] = bao.token(f"{one}/*", f"{kv}/data/*")
    assert (await (await opened(kv="1")).fetch(ref(f"{one}/openai"))).reveal() == "of-version-1"
    assert (await (await opened(kv="2", kv_mount=kv)).fetch(ref(f"{kv}/openai#org"))).reveal() == "o-1"
    assert not any("sys/" in asked for asked in opened.asked)
    with pytest.raises(SecretNotFoundError, match="correct kv-mount"):
        await (await opened(kv="2", kv_mount=kv)).fetch(ref(f"{one}/openai"))


async def test_a_namespace(admin: Opener, bao: Any) -> None:
    bao.call("POST", "sys/namespaces/team-a")
    mount = bao.mount("kv", namespace="team-a", version="2")
    bao.call("POST", f"{mount}/data/openai", {"data": {"key": "of-the-team"}}, namespace="team-a")
    rule = f'path "{mount}/*" {{ capabilities = ["read"] }}'
    bao.call("PUT", "sys/policies/acl/reader", {"policy": rule}, namespace="team-a")
    made = bao.call("POST", "auth/token/create", {"policies": ["reader"]}, namespace="team-a")
    admin.secrets["env:VAULT_TOKEN"] = made["auth"]["client_token"]
    assert (await (await admin(namespace="team-a")).fetch(ref(f"{mount}/openai"))).reveal() == "of-the-team"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("{kv}/none", "Vault has no secret '{kv}/none': write it there"),
        ("{kv}/openai", "the secret has 2 fields: name one"),
        ("{kv}/openai#none", "the secret has no field 'none'"),
        ("openai", "write vault:MOUNT/NAME#FIELD"),
        ("{kv}/../openai", "write vault:MOUNT/NAME#FIELD"),
    ],
)
async def test_what_is_not_there_is_said_for_certain(admin: Opener, kv: str, path: str, words: str) -> None:
    with pytest.raises(SecretNotFoundError, match=words.replace("{kv}", kv)) as caught:
        await (await admin()).fetch(ref(path.replace("{kv}", kv)))
    assert not isinstance(caught.value, SecretUnavailableError)


async def test_a_deleted_and_a_destroyed_version_are_gone(admin: Opener, bao: Any, kv: str) -> None:
    store = await admin()
    await store.fetch(ref(f"{kv}/openai#org"))
    bao.call("DELETE", f"{kv}/data/openai")
    with pytest.raises(SecretNotFoundError, match="has been deleted"):
        await store.fetch(ref(f"{kv}/openai#org"))
    bao.call("PUT", f"{kv}/destroy/openai", {"versions": [1]})
    with pytest.raises(SecretNotFoundError, match="has been deleted"):
        await store.fetch(ref(f"{kv}/openai#org"))


async def test_a_policy_that_does_not_allow_it_is_named_and_is_no_proof_of_absence(
    opened: Opener, bao: Any, kv: str
) -> None:
    opened.secrets["env:VAULT_TOKEN"] = bao.token(f"{kv}/data/other")
    store = await opened()
    for _ in range(3):
        with pytest.raises(SecretUnavailableError, match=rf'lacks path "{kv}/data/openai" '):
            await store.fetch(ref(f"{kv}/openai#org"))
    assert store._server._login.token == opened.secrets["env:VAULT_TOKEN"], "nobody logs in for it"  # type: ignore[union-attr]


async def test_a_server_that_is_not_there(admin: Opener) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(SecretUnavailableError, match=r"Vault cannot be reached \(provider_unreachable\)"):
        await (await admin(address=nowhere)).fetch(ref("kv/openai"))


@pytest.fixture
def redis() -> Iterator[int]:
    """A Redis of the test's own, whose users the server makes and takes away."""
    program = shutil.which("redis-server")
    assert program is not None, "install redis-server"
    port = free_port()
    options = ["--port", str(port), "--save", "", "--requirepass", "pass"]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            subprocess.run(["sleep", "0.05"], check=True)
        yield port
    finally:
        process.kill()
        process.wait()


async def test_a_dynamic_secret_is_one_lease_that_is_renewed_and_then_replaced(
    admin: Opener, bao: Any, redis: int
) -> None:
    mount = bao.mount("database")
    connection = {"plugin_name": "redis-database-plugin", "host": "127.0.0.1", "port": redis, "tls": False,
                  "username": "default", "password": "pass", "allowed_roles": "*"}  # fmt: skip
    bao.call("POST", f"{mount}/config/redis", connection)
    role = {"db_name": "redis", "creation_statements": ["+@read"], "default_ttl": "100s", "max_ttl": "101s"}
    bao.call("POST", f"{mount}/roles/reader", role)
    store = await admin()
    password, name = await asyncio.gather(
        store.fetch(ref(f"{mount}/creds/reader#password")), store.fetch(ref(f"{mount}/creds/reader#username"))
    )
    assert password.lifetime == 100
    assert name.reveal()
    assert admin.asked.count(f"GET {mount}/creds/reader") == 1, "fields of one lease belong together"
    admin.clock.advance(51)
    again = await store.fetch(ref(f"{mount}/creds/reader#password"))
    assert again.reveal() == password.reveal()
    assert admin.asked.count("PUT sys/leases/renew") == 1
    assert again.lifetime is not None
    assert again.lifetime > 90
    other = await store.refresh(ref(f"{mount}/creds/reader#password"))
    assert other.reveal() != password.reveal(), "a refused one is made anew"
    for lease in bao.call("LIST", f"sys/leases/lookup/{mount}/creds/reader")["data"]["keys"]:
        bao.call("PUT", "sys/leases/revoke", {"lease_id": f"{mount}/creds/reader/{lease}"})
    admin.clock.advance(60)
    third = await store.fetch(ref(f"{mount}/creds/reader#password"))
    assert third.reveal() not in (password.reveal(), other.reveal()), "a lease that is gone is not used"


async def test_rotation_in_the_middle_of_a_burst_loses_no_request(bao: Any, kv: str) -> None:
    async with FakeUpstream() as upstream:
        config = {
            "secrets": {"vault": {"address": bao.address, "cache": {"refresh": "100ms"}}},
            "providers": {"mine": {"base-url": f"{upstream.url}/v1", "secret": f"vault:{kv}/openai#api_key"}},
        }
        environment = {"VAULT_TOKEN": bao.token(f"{kv}/*")}
        async with Pipeline.from_config(config, environment=environment) as pipeline:
            for number in range(8):
                if number == 3:
                    bao.call("POST", f"{kv}/data/openai", {"data": {"api_key": "sk-rotated"}})
                await asyncio.gather(*(pipeline.complete(model="mine/gpt", messages=HELLO) for _ in range(10)))
                await asyncio.sleep(0.05)
        sent = [request.headers["authorization"] for request in upstream.requests]
    assert len(sent) == 80
    assert sent[0] == "Bearer sk-canary"
    assert sent[-1] == "Bearer sk-rotated"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"address": "vault.example"}, "write https://HOST:PORT"),
        ({"address": "http://vault.example:8200"}, "without TLS"),
        ({"address": "https://user:pass@vault.example"}, "write https://HOST:PORT"),
        ({"method": "approle"}, "role-id"),
        ({"method": "kubernetes"}, "role: the method kubernetes"),
        ({"method": "jwt", "role": "r"}, "write jwt, a reference, or jwt-file"),
        ({"namespace": "/x y"}, "namespace: write it as Vault shows it"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_read(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        VaultConfig(**config)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost:8200/"])
def test_an_agent_on_this_machine_needs_no_tls(address: str) -> None:
    assert VaultConfig(address=address).address == address


async def test_the_environment_says_where_vault_is(tmp_path: Path) -> None:
    nothing: Any = None
    context = StageContext("secrets.vault", nothing, nothing, nothing, nothing, {}, tmp_path)
    with pytest.raises(ConfigError, match="set VAULT_ADDR"):
        await Vault(VaultConfig()).open(context)
    with pytest.raises(ConfigError, match=r"ca-file: none\.pem cannot be read"):
        await Vault(VaultConfig(address="https://x", ca_file=Path("none.pem"))).open(context)


def test_secrets_are_kept_as_the_operator_says() -> None:
    assert Vault(VaultConfig(cache=SecretCaching(refresh=5))).caching.refresh == 5
