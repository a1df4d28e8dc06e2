"""What the configuration may say."""

from __future__ import annotations

from typing import Any

import pytest
from llmgate_redis.config import RedisConfig


@pytest.mark.parametrize(
    "url",
    ["redis://h", "redis://h/", "redis://h:1/15", "rediss://h.example:6380/0", "redis://[::1]:6379/0", "unix:///run/r"],
)
def test_addresses(url: str) -> None:
    assert RedisConfig(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://h",
        "redis://",
        "redis:///0",
        "redis://h:0",
        "redis://h:99999",
        "redis://h:port",
        "redis://h/x",
        "redis://h/0/1",
        "redis://h?ssl_cert_reqs=none",
        "rediss://h/0?db=2",
        "unix://",
        "redis://user@h",
    ],
)
def test_wrong_addresses(url: str) -> None:
    with pytest.raises(ValueError, match="url: "):
        RedisConfig(url=url)


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="password: env:NAME") as refused:
        RedisConfig(url="redis://:hunter2@h:6379/0")
    assert "hunter2" not in str(refused.value.args[0])


@pytest.mark.parametrize(
    "keys",
    [
        {"timeout": 0},
        {"timeout": 0.51},
        {"open_timeout": 0},
        {"timeout": float("nan")},
        {"max_connections": 0},
        {"max_connections": 10_001},
        {"once_ttl": 0},
        {"subscriber_queue": 0},
        {"breaker_failures": 0},
        {"breaker_pause": 0},
        {"breaker_longest_pause": 0},
        {"prefix": "a{b}"},
        {"prefix": "a b"},
        {"client_name": "a b"},
        {"client_name": ""},
    ],
    ids=str,
)
def test_every_bound_is_kept(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"prefix: |client-name: |[a-z-]+ must be "):
        RedisConfig(**keys)
