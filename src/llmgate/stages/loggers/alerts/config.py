"""What ``alerts`` can be told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

import attrs

from llmgate.spec import SecretRef, a_service

__all__ = ["AlertsConfig", "Measure", "Part", "Receiver", "Rule"]

Measure: TypeAlias = Literal["spend", "requests", "errors", "error-rate", "latency", "first-content"]
Part: TypeAlias = Literal["provider", "key", "team", "user", "model", "principal", "router", "none"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_THRESHOLD: Final = re.compile(r"\d{1,12}(\.\d{1,9})?")
_WHOLE: Final = ("requests", "errors")
_NANO: Final = 10**9


def _named(_: object, field: attrs.Attribute[str], value: str) -> None:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{field.name}: write 1 to 64 lower-case letters, digits and '-'", field)


def _threshold(_: object, field: attrs.Attribute[str], value: str) -> None:
    if not _THRESHOLD.fullmatch(value, endpos=64) or not value.isascii():
        raise ValueError(f'{field.name}: write a number such as "50" or "0.05", with nine decimals at most', field)


def _some(_: object, field: attrs.Attribute[Sequence[Any]], value: Sequence[Any]) -> None:
    if not 1 <= len(value) <= 100:
        raise ValueError(f"{field.name}: write at least one, and 100 at most", field)


@attrs.frozen
class Rule:
    """A threshold.

    Args:
        name: What alerts call it.
        of: What is looked at: ``spend`` (USD), ``requests`` or ``errors`` (how many), ``error-rate`` (share of the
            requests, 0 to 1), ``latency`` or ``first-content`` (of what went well, the ``percentile``).
        over: The threshold, as decimal text; whatever is more than that is told. A time is written as 2.5, for example.
        window: Seconds that are looked back on; they slide by a twentieth.
        per: What is looked at apart: ``provider`` (its attempts), ``key``, ``team``, ``user``, ``model``,
            ``principal``, ``router``; ``none`` for all together.
        percentile: The percentile of ``latency`` and ``first-content`` that may not be more.
        at_least: Requests that the window must have, for ``error-rate``, ``latency`` and ``first-content``.
        pause: Seconds for which the same is not told again of the same provider, key and so on.
        caller_errors: Whether what the caller did wrong (a status of 400 to 499) is an error too.
        values: Most providers, keys and so on that are looked at apart; what comes beyond is taken together.
    """

    name: str = attrs.field(validator=_named)
    of: Measure
    over: str = attrs.field(validator=_threshold, metadata={"seconds": False})
    window: float = attrs.field(default=3600.0, metadata={"minimum": 1, "maximum": 31 * 86400})
    per: Part = attrs.field(default="none", metadata={"seconds": False})
    percentile: float = attrs.field(default=95.0, metadata={"above": 0, "maximum": 100, "seconds": False})
    at_least: int = attrs.field(default=20, metadata={"minimum": 1, "maximum": 10**9, "seconds": False})
    pause: float = attrs.field(default=3600.0, metadata={"minimum": 0, "maximum": 31 * 86400})
    caller_errors: bool = False
    values: int = attrs.field(default=1000, metadata={"minimum": 1, "maximum": 100_000, "seconds": False})

    def __attrs_post_init__(self) -> None:
        over = Decimal(self.over)
        if self.of in _WHOLE and over != int(over):
            raise ValueError(f"over: {self.of} are counted: write a whole number")
        if self.of == "error-rate" and over >= 1:
            raise ValueError("over: an error-rate is a share: write less than 1, such as 0.05 for one in twenty")

    @property
    def limit(self) -> int:
        """The threshold in billionths: nano-USD, of a request, of a second."""
        return int(Decimal(self.over) * _NANO)


@attrs.frozen
class Receiver:
    """Where alerts are sent.

    Args:
        to: ``log`` (the application log), ``webhook``, ``slack`` or ``discord`` (their incoming webhooks).
        url: The address; of ``slack`` and ``discord`` a secret reference, since whoever has it can write there.
        secret: For ``webhook``, what alerts are signed with; None for no signature.
        authorization: For ``webhook``, what is sent as ``Authorization``; None for nothing.
    """

    to: Literal["log", "webhook", "slack", "discord"]
    url: SecretRef | str | None = None
    secret: SecretRef | None = None
    authorization: SecretRef | None = None

    def __attrs_post_init__(self) -> None:
        field = attrs.fields(Receiver).url
        if self.to == "log":
            if self.url is not None:
                raise ValueError("url: the log has none: take it out")
        elif self.url is None:
            raise ValueError(f"url: {self.to} needs one")
        elif isinstance(self.url, str):
            if self.to != "webhook":  # the address is the credential: it is not shown
                raise ValueError(f"url: write a secret reference such as env:{self.to.upper()}_WEBHOOK_URL")
            a_service(None, field, self.url)
        if self.to != "webhook" and (self.secret is not None or self.authorization is not None):
            raise ValueError("secret, authorization: they are for a webhook: take them out")


@attrs.frozen
class AlertsConfig:
    """The config of ``alerts``.

    Args:
        rules: The thresholds.
        send: Who is told.
        timeout: Seconds that a receiver may take to answer.
        tries: How often an alert is sent to a receiver that does not take it.
        waiting: Alerts that may wait to be sent; beyond it they are counted and told of in the application log.
    """

    rules: Sequence[Rule] = attrs.field(validator=_some)
    send: Sequence[Receiver] = attrs.field(default=(Receiver("log"),), validator=_some)
    timeout: float = attrs.field(default=10.0, metadata={"above": 0, "maximum": 60})
    tries: int = attrs.field(default=4, metadata={"minimum": 1, "maximum": 10, "seconds": False})
    waiting: int = attrs.field(default=1000, metadata={"minimum": 1, "maximum": 100_000, "seconds": False})

    def __attrs_post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            raise ValueError(f"rules: two are called {double}: give each a name of its own")
