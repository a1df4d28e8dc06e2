"""Secrets of an emulated cluster: keys, namespaces, changes as they happen; who may read, and what is said if not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from cluster_double import ClusterDouble, Recorded
from llmgate_kubernetes.config import KubernetesSecretsConfig
from llmgate_kubernetes.store import KubernetesSecrets

from llmgate.spec import (
    ConfigError,
    Secret,
    SecretNotFoundError,
    SecretRef,
    SecretUnavailableError,
    StageContext,
    SystemClock,
)
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport, json_answer


class Opener:
    def __init__(self, cluster: ClusterDouble) -> None:
        self.cluster = cluster
        self.transport = Recorded()
        self.clock: Any = FakeClock()
        self.stores: list[KubernetesSecrets] = []

    async def __call__(self, **config: Any) -> KubernetesSecrets:
        nothing: Any = None
        settings = {
            "address": self.cluster.url,
            "token_file": self.cluster.account / "token",
            "watch": False,
            "timeout": 20,
            **config,
        }
        store = KubernetesSecrets(KubernetesSecretsConfig(**settings))
        context = StageContext("secrets.k", self.clock, self.transport, nothing, nothing, {}, self.cluster.account)
        await store.open(context)
        self.stores.append(store)
        return store

    async def watches(self) -> bool:
        """Whether somebody watches."""
        return any("watch=true" in one.url for one in self.transport.asked)


@pytest.fixture
async def opened(cluster: ClusterDouble) -> AsyncIterator[Opener]:
    opener = Opener(cluster)
    yield opener
    for store in opener.stores:
        await store.aclose()
    await opener.transport.aclose()


def ref(path: str) -> SecretRef:
    return SecretRef("k", path)


async def value(store: KubernetesSecrets, path: str) -> str:
    return (await store.fetch(ref(path))).reveal()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - a request of somebody else's is waited for
            await asyncio.sleep(0.01)


async def said(store: KubernetesSecrets, path: str) -> str:
    """The value, or why there is none."""
    try:
        return await value(store, path)
    except SecretNotFoundError as missing:
        return missing.message


async def says(store: KubernetesSecrets, expected: str) -> bool:
    return await said(store, "llm") == expected


async def test_keys_namespaces_and_one_call_for_all_keys(opened: Opener, cluster: ClusterDouble) -> None:
    await cluster.create("llm-keys", openai="sk-1\n", anthropic="sk-2")
    await cluster.create("llm-keys", "team-a", only="sk-3")
    store = await opened()
    found = await asyncio.gather(*(value(store, f"llm-keys#{key}") for key in ("openai", "anthropic") * 5))
    assert set(found) == {"sk-1", "sk-2"}
    assert len(opened.transport.asked) == 1
    assert (await store.fetch(ref("llm-keys#openai"))).version == "1"
    assert await value(store, "team-a/llm-keys") == "sk-3"
    first = opened.transport.asked[0]
    assert first.url == f"{cluster.url}/api/v1/namespaces/prod/secrets/llm-keys"
    assert first.headers["authorization"] == "Bearer token-canary-1"


async def test_the_token_is_read_for_each_call(opened: Opener, cluster: ClusterDouble) -> None:
    await cluster.create("llm", openai="sk-1")
    store = await opened()
    await value(store, "llm")
    (cluster.account / "token").write_text("token-canary-2")
    await store.refresh(ref("llm"))
    assert opened.transport.asked[-1].headers["authorization"] == "Bearer token-canary-2"
    (cluster.account / "token").unlink()
    with pytest.raises(SecretUnavailableError, match=r"cannot be read \(FileNotFoundError\): run in a pod"):
        await store.refresh(ref("llm"))
    assert await value(store, "llm") == "sk-1", "the last value is still good"


async def test_a_change_is_noticed_when_it_happens(opened: Opener, cluster: ClusterDouble) -> None:
    opened.clock = SystemClock()
    await cluster.create("llm", openai="sk-1")
    store = await opened(watch=True)
    assert await value(store, "llm") == "sk-1"
    await until(opened.watches)
    await cluster.change("llm", openai="sk-2")
    await until(lambda: says(store, "sk-2"))
    calls = len(opened.transport.asked)
    for _ in range(50):
        assert await value(store, "llm") == "sk-2"
    assert len(opened.transport.asked) == calls, "nobody is asked while nothing changes"
    await cluster.delete("llm")
    await until(lambda: says(store, "k:prod/llm: the cluster has no such secret: create it"))
    await cluster.create("llm", openai="sk-3")
    await until(lambda: says(store, "sk-3"))
    (watch, *_) = [one for one in opened.transport.asked if "watch=true" in one.url]
    assert "fieldSelector=metadata.name%3Dllm" in watch.url


async def test_a_watch_that_breaks_is_begun_again(opened: Opener, cluster: ClusterDouble) -> None:
    await cluster.create("llm", openai="sk-1")
    opened.transport.elsewhere = False
    store = await opened(watch=True)
    await value(store, "llm")
    await until(opened.watches)
    (watch,) = store._watches.values()
    opened.transport.elsewhere = True
    assert await value(store, "llm") == "sk-1"
    assert not watch.done()


async def test_what_is_not_there_is_said_for_certain(opened: Opener, cluster: ClusterDouble) -> None:
    await cluster.create("llm", openai="canary", bytes=b"\xff", empty="")
    store = await opened()
    for path, words in (
        ("none#x", "the cluster has no such secret"),
        ("llm", "the secret has 3 keys: name one"),
        ("llm#none", "no key 'none'"),
        ("llm#bytes", "keep it in UTF-8"),
        ("llm#empty", "is empty"),
        ("LLM#x", "write k:SECRET#KEY"),
        ("a/b/c", "write k:SECRET#KEY"),
    ):
        with pytest.raises(SecretNotFoundError, match=words) as caught:
            await store.fetch(ref(path))
        assert not isinstance(caught.value, SecretUnavailableError), path
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_names_the_rights_and_is_no_proof_of_absence(opened: Opener, status: int) -> None:
    store = await opened()
    store._service = attrs.evolve(
        store._service,
        transport=ScriptedTransport([json_answer({"message": "canary"}, status=status)]),  # type: ignore[arg-type]
    )
    store._cluster._service = store._service  # type: ignore[union-attr, assignment]
    with pytest.raises(SecretUnavailableError, match=f'answers {status}: .*verbs "get" and "watch"') as caught:
        await store.fetch(ref("llm"))
    assert "canary" not in str(caught.value)


async def test_an_outage_is_survived(opened: Opener, cluster: ClusterDouble) -> None:
    await cluster.create("llm", openai="sk-1")
    store = await opened()
    await value(store, "llm")
    opened.transport.elsewhere = True
    opened.clock.advance(61)
    assert await value(store, "llm") == "sk-1"
    with pytest.raises(SecretUnavailableError, match="Kubernetes cannot be reached"):
        await store.fetch(ref("other"))


async def test_a_pod_is_told_where_it_is(tmp_path: Path, cluster: ClusterDouble) -> None:
    nothing: Any = None
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    token = cluster.account / "token"
    store = KubernetesSecrets(KubernetesSecretsConfig(token_file=token, ca_file=None))
    await store.open(StageContext("secrets.k", FakeClock(), nothing, nothing, nothing, environment, tmp_path))
    assert store._service is not None
    assert store._service.address == "https://[fd00::1]:6443"
    await store.aclose()
    for settings, words in (
        ({}, "address: this is no pod"),
        ({"address": "https://x", "token_file": tmp_path / "none"}, "namespace: this is no pod"),
        ({"address": "https://x", "namespace": "a", "ca_file": Path("none")}, "ca-file: none: FileNotFoundError"),
    ):
        config = KubernetesSecretsConfig(**settings)  # type: ignore[arg-type]
        context = StageContext("secrets.k", FakeClock(), nothing, nothing, nothing, {}, tmp_path)
        with pytest.raises(ConfigError, match=words):
            await KubernetesSecrets(config).open(context)


@pytest.mark.parametrize(
    "wrong", [{"namespace": "A b"}, {"address": "x"}, {"address": "http://api.example"}, {"address": "https://u@x"}]
)
def test_what_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        KubernetesSecretsConfig(**wrong)


def test_a_secret_is_kept_by_the_store_itself() -> None:
    assert KubernetesSecrets(KubernetesSecretsConfig()).caching is None
    assert Secret("x").lifetime is None
