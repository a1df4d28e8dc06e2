"""A small registry of fake stages, so that these tests depend on no other room."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from llmgate.config import load
from llmgate.config.model import GatewayConfig
from llmgate.spec import ConfigError, NoConfig, SecretRef


class Colour(enum.StrEnum):
    RED = "red"
    GREEN = "green"


@attrs.frozen
class Inner:
    name: str
    secret: SecretRef | None = None


@attrs.frozen
class EverythingConfig:
    """Every type that a config class may have.

    Args:
        ttl: Seconds that something lives.
        period: How long, in seconds.
    """

    text: str = "t"
    count: int = 1
    ratio: float = 0.5
    switch: bool = False
    path: Path | None = None
    colour: Colour = Colour.RED
    mode: Literal["fast", "slow"] = "fast"
    ttl: float = 60.0
    period: int = 1
    names: Sequence[str] = ()
    pair: tuple[str, int] = ("a", 1)
    table: Mapping[str, int] = attrs.field(factory=dict)
    inner: Inner | None = None
    inners: Sequence[Inner] = ()
    either: int | str = 1
    secret: SecretRef | None = None
    anything: Any = None
    small: int = attrs.field(default=1, metadata={"minimum": 1, "maximum": 9})
    checked: int = attrs.field(default=1, validator=attrs.validators.in_([1, 2]))


@attrs.frozen
class RequiredConfig:
    """One key without a default."""

    keys: Sequence[Inner]


@attrs.frozen
class LatencyConfig:
    """Of the latency strategy.

    Args:
        decay: Seconds.
        default_rtt: Seconds.
    """

    decay: float = 30.0
    default_rtt: float = 0.25


@attrs.frozen
class EchoConfig:
    """Of the echo adapter.

    Args:
        delay: Seconds between words.
    """

    delay: float = 0.0


@attrs.frozen
class EnvConfig:
    """Of the env store.

    Args:
        prefix: What is put before each name.
    """

    prefix: str = ""


def fake(name: str, config: type[Any] = NoConfig) -> Any:
    return type(name.title().replace("-", ""), (), {"name": name, "config_class": config})


STAGES: Mapping[str, Mapping[str, Any]] = {
    "auth": {
        "static-keys": fake("static-keys", RequiredConfig),
        "anonymous": fake("anonymous"),
        "everything": fake("everything", EverythingConfig),
    },
    "secrets": {"env": fake("env", EnvConfig), "file": fake("file"), "vault": fake("vault", EverythingConfig)},
    "routing": {
        "latency": fake("latency", LatencyConfig),
        "weighted": fake("weighted"),
        "priority": fake("priority"),
        "cheapest": fake("cheapest", LatencyConfig),
    },
    "providers": {"openai": fake("openai"), "bedrock": fake("bedrock"), "echo": fake("echo", EchoConfig)},
    "interceptors": {"request-rules": fake("request-rules", EverythingConfig)},
    "state": {"memory": fake("memory")},
    "domains": {"file": fake("file")},
    "loggers": {"json-lines": fake("json-lines", EverythingConfig), "python-logging": fake("python-logging")},
    "pages": {},
}


def find_fake(kind: str, name: str) -> Any:
    return STAGES[kind].get(name)


def fake_names(kind: str) -> list[str]:
    return sorted(STAGES[kind])


class Loader:
    """Loads configurations written in a test, and gives their problems."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        monkeypatch.chdir(directory)

    find: Callable[[str, str], Any] = staticmethod(find_fake)
    names: Callable[[str], Sequence[str]] = staticmethod(fake_names)

    def mapping(self, source: Mapping[str, Any] | None, **environment: str) -> GatewayConfig:
        return load(source, environment=environment, find=self.find, names=self.names)

    def text(self, text: str | bytes, **environment: str) -> GatewayConfig:
        (self.directory / "c.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return load("c.yaml", environment=environment, find=self.find, names=self.names)

    def problems(self, text: str | bytes, **environment: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self.text(text, **environment)
        return list(caught.value.problems)

    def one(self, text: str | bytes, **environment: str) -> str:
        problems = self.problems(text, **environment)
        assert len(problems) == 1, problems
        return problems[0]
