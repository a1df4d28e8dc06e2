"""Rate limits and their stores in the words of the older dialect become interceptors and named state stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs
import pytest

from config.fakes import STAGES, Loader, fake


@attrs.frozen
class PerKey:
    """Of each key.

    Args:
        refill_frequency: Seconds.
    """

    capacity: int = 500
    refill_frequency: float = 1.0


@attrs.frozen
class LimitsConfig:
    """Of the interceptor."""

    per_api_key: PerKey | None = None
    limits: Sequence[int] = ()
    state: str = "memory"
    on_failure: Literal["deny", "allow"] = "deny"


@attrs.frozen
class RedisConfig:
    """Of the store.

    Args:
        open_timeout: Seconds.
    """

    url: str = "redis://127.0.0.1:6379/0"
    open_timeout: float = 5.0


REDIS = fake("redis", RedisConfig)
EXTENDED = {
    **STAGES,
    "interceptors": {**STAGES["interceptors"], "rate-limit": fake("rate-limit", LimitsConfig)},
    "state": {**STAGES["state"], "redis": REDIS},
}


@pytest.fixture
def limits(loader: Loader) -> Loader:
    loader.find = lambda kind, name: EXTENDED[kind].get(name)
    return loader


def test_each_scope_has_its_own_limit_in_its_place(limits: Loader) -> None:
    config = limits.text(
        "global: {rate-limit: {per-api-key: {capacity: 10, refill-frequency: 1m}}}\n"
        "unified-api: {rate_limit: {per_api_key: {capacity: 5}}, interceptors: [request-rules]}\n"
        "routers: {a: {rate-limit: {on-failure: allow}}}\n"
        "interceptors: [request-rules]\n"
    )
    assert [(one.id, one.use) for one in config.interceptors] == [
        ("global.rate-limit", "rate-limit"),
        ("interceptors[0]", "request-rules"),
    ]
    assert config.interceptors[0].config == LimitsConfig(PerKey(10, 60.0))
    assert [one.id for one in config.unified_interceptors] == ["unified-api.rate-limit", "unified-api.interceptors[0]"]
    assert config.unified_interceptors[0].config.per_api_key == PerKey(5, 1.0)
    assert config.routers["a"].interceptors[0].config == LimitsConfig(on_failure="allow")
    assert list(config.state) == ["memory"]


def test_the_store_of_all_limits_is_a_state_store(limits: Loader) -> None:
    config = limits.text(
        "rate-limit-store: {type: redis, host-url: 'redis://r:6379', connection-timeout: 2s}\n"
        "global: {rate-limit: {}}\nrouters: {a: {rate-limit: {}}}\n"
    )
    store = config.state["rate-limit-store"]
    assert (store.id, store.use) == ("state.rate-limit-store", "redis")
    assert store.config == RedisConfig("redis://r:6379", 2.0)
    assert config.interceptors[0].config.state == "rate-limit-store"
    assert config.routers["a"].interceptors[0].config.state == "rate-limit-store"


def test_a_limit_may_have_a_store_of_its_own(limits: Loader) -> None:
    config = limits.text(
        "rate_limit_store: {type: redis}\n"
        "global: {rate-limit: {store: {type: in-memory}}}\n"
        "routers: {a: {rate-limit: {store: {type: redis, host_url: 'redis://x'}}}, b: {rate-limit: {}}}\n"
    )
    stores = {one.id: one.config.state for router in config.routers.values() for one in router.interceptors}
    assert config.interceptors[0].config.state == "global.rate-limit.store"
    assert stores == {
        "routers.a.rate-limit": "routers.a.rate-limit.store",
        "routers.b.rate-limit": "rate-limit-store",
    }
    assert {name: one.use for name, one in config.state.items()} == {
        "rate-limit-store": "redis",
        "global.rate-limit.store": "memory",
        "routers.a.rate-limit.store": "redis",
        "memory": "memory",
    }
    assert config.state["routers.a.rate-limit.store"].config.url == "redis://x"


def test_what_redis_alone_has_means_nothing_in_memory(limits: Loader) -> None:
    config = limits.text("rate-limit-store: {type: in-memory, host-url: x}\nglobal: {rate-limit: {}}")
    assert config.state["rate-limit-store"].use == "memory"


def test_a_store_without_its_plugin_names_the_plugin(loader: Loader) -> None:
    problem = loader.one("rate-limit-store:\n  type: redis\n")
    assert problem == (
        "c.yaml:2:3: rate-limit-store needs the state store 'redis': pip install llmgate-redis, or write in-memory"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rate-limit-store: {host-url: x}", "'type' is required in rate-limit-store: write in-memory or redis"),
        ("rate-limit-store: {type: memcached}", "'type' must be one of in-memory, redis"),
        ("rate-limit-store: redis", "'rate-limit-store' must be"),
        ("global: {rate-limit: {per-api-key: {capacity: many}}}", "'capacity' must be"),
        ("global: {rate-limit: {per-api-key: {capcity: 1}}}", "capcity"),
        ("global: {rate-limit: {limits: [1]}}", "limits"),
        ("global: {rate-limit: {store: {}}}", "'type' is required in global.rate-limit.store"),
        ("global: {rate-limit: 5}", "global.rate-limit"),
    ],
)
def test_a_wrong_one_is_told_once(limits: Loader, text: str, sentence: str) -> None:
    assert sentence in limits.one(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("cache-store: {max-size: 5}", "'type' is required in cache-store: write in-memory or redis"),
        ("cache-store: {type: redis}", "cache-store needs the state store 'redis': pip install llmgate-redis"),
        ("cache-store: {type: disk}", "disk"),
        ("cache-store: {type: in-memory, host: x}", "host"),
    ],
)
def test_a_store_of_answers_that_cannot_be_had_is_named(loader: Loader, text: str, word: str) -> None:
    assert word in loader.one(text)


def test_an_empty_store_of_answers_is_none(loader: Loader) -> None:
    assert "cache-store" not in loader.text("cache-store:\n").state
