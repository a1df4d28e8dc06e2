"""What llmgate is told in each case: from nothing but a provider to everything that people switch on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.payloads import KEY

__all__ = [
    "EVERYTHING",
    "FAILOVER",
    "FAST",
    "FAST_EVERYTHING",
    "FAST_TRANSLATED",
    "LLMGATE",
    "PROVIDER",
    "RECORDED",
    "ROUTER",
    "TRANSLATED",
    "TRANSLATOR",
    "UNRECORDED",
    "VARIANTS",
    "configuration",
]

LLMGATE: Final = "llmgate"
FAILOVER: Final = "llmgate, failover over 3"
UNRECORDED: Final = "llmgate, no access log"
RECORDED: Final = "llmgate, full recording"
EVERYTHING: Final = "llmgate, everything on"
TRANSLATED: Final = "llmgate, translated"
FAST: Final = "llmgate[fast]"
FAST_EVERYTHING: Final = "llmgate[fast], everything on"
FAST_TRANSLATED: Final = "llmgate[fast], translated"

PROVIDER, ROUTER, TRANSLATOR = "bench", "balanced", "translator"
DEPLOYMENTS: Final = 3

Config = Mapping[str, Any]


def configuration(upstream_port: int) -> Config:
    """The least that llmgate must be told: one provider, at the fake upstream; everything else as it is by default."""
    return {"providers": {PROVIDER: _provider(upstream_port)}}


def _provider(upstream_port: int, **more: Any) -> Config:
    return {"base-url": f"http://127.0.0.1:{upstream_port}/v1", "secret": "env:BENCH_API_KEY", **more}


def with_failover(upstream_port: int) -> Config:
    """The same upstream as three deployments of a router, with failover between them and repeats at each."""
    names = [f"{PROVIDER}-{number}" for number in range(1, DEPLOYMENTS + 1)]
    return {
        "providers": {name: _provider(upstream_port) for name in names},
        "routers": {
            ROUTER: {
                "load-balance": {"chat": {"strategy": "latency", "providers": names}},
                "retries": {"strategy": "exponential", "max-retries": 2},
            }
        },
    }


def unrecorded(upstream_port: int) -> Config:
    """The least, and the access log off: nothing is written down."""
    return {**configuration(upstream_port), "server": {"access-log": False}}


def recorded(upstream_port: int) -> Config:
    """The same, every exchange in a journal and a SQLite database, measured, and one trace in a hundred exported."""
    return {
        **unrecorded(upstream_port),
        "loggers": [{"use": "sql", "database": {"url": "sqlite:///recorded.db"}}],
        "records": {"journal": {"path": "recorded"}},
        "telemetry": {"exporter": "otlp", "otlp-endpoint": f"http://127.0.0.1:{upstream_port}", "sampling": 0.01},
    }


def everything(upstream_port: int) -> Config:
    """All at once: keys, limits, a look in the cache, routing over three, costs, journal, SQLite, traces, metrics.

    The limits are never reached. The load asks for answers not to be kept, so that each request looks for one in vain:
    an answer out of the cache would cost less than one of the upstream's.
    """
    return {
        **with_failover(upstream_port),
        "auth": [{"use": "static-keys", "keys": [_key("load", KEY)]}],
        "prices": {
            "models": {f"{PROVIDER}-{number + 1}/*": {"input": 1, "output": 2} for number in range(DEPLOYMENTS)}
        },
        "interceptors": [
            {
                "use": "rate-limit",
                "limits": [
                    {"capacity": 100_000_000, "refill-frequency": "1m"},
                    {"capacity": 1_000_000_000_000, "refill-frequency": "1h", "unit": "tokens"},
                    {"capacity": 10_000, "unit": "concurrent"},
                ],
            },
            {"use": "cache"},
        ],
        "loggers": [{"use": "sql", "database": {"url": "sqlite:///records.db"}}],
        "records": {"journal": {"path": "journal"}},
        "telemetry": {
            "exporter": "otlp",
            "otlp-endpoint": f"http://127.0.0.1:{upstream_port}",
            "sampling": 0.01,
            "prometheus": True,
        },
    }


def translated(upstream_port: int) -> Config:
    """A provider that speaks Anthropic's format only, for clients that speak OpenAI's."""
    return {"providers": {TRANSLATOR: _provider(upstream_port, format="anthropic-messages")}}


def _key(name: str, key: str) -> Config:
    return {"name": name, "hash": f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"}


def _fast(of: Callable[[int], Config]) -> Callable[[int], Config]:
    return lambda upstream_port: {**of(upstream_port), "server": {"use": "uvicorn"}}


VARIANTS: Final[Mapping[str, Callable[[int], Config]]] = {
    LLMGATE: configuration,
    FAILOVER: with_failover,
    UNRECORDED: unrecorded,
    RECORDED: recorded,
    EVERYTHING: everything,
    TRANSLATED: translated,
    FAST: _fast(configuration),
    FAST_EVERYTHING: _fast(everything),
    FAST_TRANSLATED: _fast(translated),
}
"""What is measured of llmgate, by the name that tables give it, made from the port of the upstream."""
