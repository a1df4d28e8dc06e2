"""Every key of the older dialect is read, and what is not there says so."""

from __future__ import annotations

import attrs
import pytest

from config.fakes import STAGES, EverythingConfig, Loader, fake
from llmgate.config.model import RetryConfig

NOTHING_ASKED = """\
telemetry: {level: info, service-name: x, exporter: stdout, otlp-endpoint: 'http://x', format: compact}
server: {address: 0.0.0.0, port: 8080, tls: Disabled, shutdown-timeout: 30s}
dispatcher: {timeout: 15m, connection_timeout: 10s}
discover:
  discover-decay: 20s
  default-rtt: 100ms
  monitor: {health: {type: error-ratio, ratio: 0.10, window: 60s, buckets: 10, interval: 5s,
                     grace_period: {min_requests: 20}}}
response-headers: {provider: false, provider-request-id: false}
deployment-target: sidecar
default-model-mapping: {gpt-4o: [anthropic/claude], gpt-4: openai/gpt-4o}
helicone: {api-key: k, base-url: 'https://x', websocket-url: 'wss://x', features: none, authentication: false,
           observability: false, __prompts: false}
providers: {openai: {models: [gpt-4o], base-url: 'https://api.openai.com/'}, anthropic: {version: '2023-06-01'}}
cache-store:
rate-limit-store: ~
global: {cache: , rate-limit: ,
         retries: {strategy: exponential, min-delay: 1s, max-delay: 9s, max-retries: 3, factor: 1.5}}
unified-api: {retries: {strategy: constant, delay: 2s, max-retries: 1}}
routers:
  abc_1-2:
    load-balance: {chat: {strategy: balanced-latency, providers: [openai, anthropic, gemini]}}
    model-mappings: {m: [openai/gpt-4o]}
    cache:
    rate-limit:
    retries: {strategy: constant}
    providers: {openai: {base-url: 'https://eu.api.openai.com/', version-path: v1}}
"""
DATABASE = """\
database: {url: x, connection-timeout: 10s, max-connections: 1, min-connections: 0, acquire-timeout: 5s,
           idle-timeout: 600s, max-lifetime: 1800s}
"""


def test_a_file_that_asks_for_nothing_that_is_missing_loads(loader: Loader) -> None:
    config = loader.text(NOTHING_ASKED)
    assert config.timeouts.total == 900
    assert config.timeouts.connect == 10
    assert (config.provider_header, config.provider_request_id_header) == (False, False)
    assert config.log_format == "compact"
    assert config.model_mapping == {"gpt-4o": ("anthropic/claude",), "gpt-4": ("openai/gpt-4o",)}
    assert config.retries == RetryConfig(3, 1, 9, 1.5)
    assert config.unified_retries == RetryConfig(1, 2, 2, 1)
    assert config.providers["anthropic"].headers == {"anthropic-version": "2023-06-01"}
    router = config.routers["abc_1-2"]
    assert router.retries == RetryConfig(2, 1, 1, 1)
    assert router.providers["openai"].base_url == "https://eu.api.openai.com/"
    assert router.providers["openai"].models == ("gpt-4o",)
    assert router.balances["chat"].strategy.config.decay == 20
    assert router.balances["chat"].strategy.config.default_rtt == 0.1


def test_variables_of_the_platform_alone_break_nothing(loader: Loader) -> None:
    loader.mapping(None, HELICONE_CONTROL_PLANE_API_KEY="x", HELICONE_API_KEY="y", AWS_REGION="z")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("cache-store: {type: redis, host-url: x}", "pip install llmgate-redis"),
        ("control-plane: {retry: {strategy: exponential, max-retries: 15}}", "there is none by that name"),
        ("helicone: {features: __prompts}", "helicone feature '__prompts' is not there yet"),
        ("helicone: {__prompts: true}", "'helicone.__prompts' is not there yet"),
        ("deployment-target: {type: cloud, db-poll-interval: 30s, listener-reconnect-interval: 5m}", "will never be"),
        ("deployment-target: cloud", "will never be there"),
        (DATABASE, "'database' will never be there"),
        ("minio: {url-style: path, bucket-name: b, host: h, region: r, access-key: a, secret-key: s}",
         "'minio' will never be there"),
        ("routers: {a: {load-balance: {image: {strategy: latency, providers: [openai]}}}}", "image' is not there yet"),
    ],
)  # fmt: skip
def test_what_is_not_there_says_so(loader: Loader, text: str, word: str) -> None:
    problem = loader.one(text)
    assert word in problem
    assert "take it out" in problem or "write" in problem or "out" in problem


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", "debug"), ("warn", "warning"), ("OFF", "critical"), ("info,ai_gateway=trace", "debug"),
        ("llmgate=error,info", "error"), ("tower=trace,warn", "warning"),
    ],
)  # fmt: skip
def test_log_levels(loader: Loader, level: str, expected: str) -> None:
    assert loader.text(f"telemetry: {{level: '{level}'}}").log_level == expected


def test_an_unknown_log_level(loader: Loader) -> None:
    assert loader.one("telemetry: {level: inof}").endswith("(did you mean 'info'?)")


def test_a_limit_and_a_cache_become_interceptors_where_they_are_installed(loader: Loader) -> None:
    extended = {**STAGES["interceptors"], "cache": fake("cache", EverythingConfig), "rate-limit": fake("rate-limit")}
    loader.find = lambda kind, name: (extended if kind == "interceptors" else STAGES[kind]).get(name)
    config = loader.text(
        "global: {cache: {count: 3}, rate-limit: {}}\ninterceptors: [request-rules]\n"
        "routers: {a: {cache: {}, interceptors: [request-rules]}}\n"
    )
    assert [(stage.id, stage.use) for stage in config.interceptors] == [
        ("global.rate-limit", "rate-limit"),
        ("global.cache", "cache"),
        ("interceptors[0]", "request-rules"),
    ]
    assert config.interceptors[1].config.count == 3
    assert [stage.id for stage in config.routers["a"].interceptors] == ["routers.a.cache", "routers.a.interceptors[0]"]


@attrs.frozen
class StoredConfig:
    """Of an interceptor that keeps something."""

    seed: str = ""
    state: str = "memory"


@attrs.frozen
class SizedConfig:
    """Of a store."""

    max_size: int = 5


def caching(loader: Loader) -> Loader:
    """With a cache and two stores."""
    extended = {
        **STAGES,
        "interceptors": {**STAGES["interceptors"], "cache": fake("cache", StoredConfig)},
        "state": {"memory": fake("memory", SizedConfig), "redis": fake("redis", RedisConfig)},
    }
    loader.find = lambda kind, name: extended[kind].get(name)
    return loader


@attrs.frozen
class RedisConfig:
    """Of another store."""

    url: str = ""


def test_a_cache_is_kept_in_the_cache_store(loader: Loader) -> None:
    config = caching(loader).text(
        "cache-store: {type: in-memory, max_size: 7}\nstate: {other: {use: memory}}\n"
        "global: {cache: {seed: s}}\nunified-api: {cache: {state: other}}\nrouters: {a: {cache: {}}}\n"
    )
    assert config.state["cache-store"].use == "memory"
    assert config.state["cache-store"].config == SizedConfig(7)
    assert config.interceptors[0].config == StoredConfig("s", "cache-store")
    assert config.unified_interceptors[0].config == StoredConfig("", "other")
    assert config.routers["a"].interceptors[0].config == StoredConfig("", "cache-store")


def test_a_cache_store_may_be_redis(loader: Loader) -> None:
    config = caching(loader).text("cache-store: {type: redis, host-url: 'redis://r:6340'}\nglobal: {cache: {}}\n")
    assert (config.state["cache-store"].use, config.state["cache-store"].config.url) == ("redis", "redis://r:6340")


def test_without_a_cache_store_it_is_kept_in_memory(loader: Loader) -> None:
    config = caching(loader).text("global: {cache: {}}\n")
    assert config.interceptors[0].config.state == "memory"
    assert "cache-store" not in config.state
