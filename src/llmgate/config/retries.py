"""Reads what a scope says of extra attempts: how often, when, how many in all, and after which loss."""

from __future__ import annotations

from typing import Any

import attrs

from .bounds import bounds_of
from .decoder import UnreadableError
from .model import GatewayConfig, ResilienceConfig, RetryBudgetConfig, RetryConfig
from .sections import Section
from .stages import StageReader

__all__ = ["read_cool_down", "read_resilience", "read_retries"]


def read_retries(stages: StageReader, section: Section) -> RetryConfig | None:
    """What a ``retries`` section says; None when there is none."""
    node = section.nodes.get("retries")
    if node is None:
        return None
    found, decoder = section.section("retries"), stages.decoder
    constant = found.get("strategy", "exponential") == "constant"
    foreign = ("min-delay", "max-delay", "factor") if constant else ("delay",)
    for key in foreign:
        if key in found.nodes:
            own, other = ("constant", "exponential") if constant else ("exponential", "constant")
            decoder.problems.add(found.place(key), f"{key!r} belongs to strategy: {other}, this one is {own}")
    if constant:
        delay = found.get("delay", 1.0)
        values = {"min_delay": delay, "max_delay": delay, "factor": 1.0}
    else:
        values = {"min_delay": found.get("min-delay", 1.0), "factor": found.get("factor", 2.0)}
        values["max_delay"] = found.get("max-delay", max(30.0, values["min_delay"]))
    values["max_retries"] = found.get("max-retries", 2)
    fields = attrs.fields_dict(RetryConfig)
    for name, value in values.items():
        key = "delay" if constant and name.endswith("delay") else name.replace("_", "-")
        try:
            decoder.check(value, bounds_of(RetryConfig, fields[name]), found.place(key), key)
        except UnreadableError:
            return None
    if values["max_delay"] < values["min_delay"]:
        decoder.problems.add(found.place("max-delay"), "'max-delay' must not be less than 'min-delay'")
    return RetryConfig(**values)


def read_resilience(stages: StageReader, section: Section) -> ResilienceConfig:
    """What a scope says of the retry budget, of lost requests, of callers who leave and so on."""
    return ResilienceConfig(
        retry_budget=_read_budget(stages, section),
        resend_unknown=section.get("resend-unknown"),
        on_disconnect=section.get("on-disconnect"),
        caller_keys=section.get("allow-caller-keys"),
        hedge_after=_read_hedge(stages, section),
    )


def _read_hedge(stages: StageReader, section: Section) -> float | None:
    value: float | None = section.get("hedge-after")
    if value is not None and value <= 0:
        stages.decoder.problems.add(section.place("hedge-after"), "'hedge-after' must be more than 0")
        return None
    return value


def read_cool_down(stages: StageReader, section: Section) -> float:
    """For how many seconds a refused credential is left out."""
    value: float = section.get("credential-cool-down", GatewayConfig().credential_cool_down)
    _allowed(stages, GatewayConfig, "credential_cool_down", value, section)
    return value


def _read_budget(stages: StageReader, section: Section) -> RetryBudgetConfig | None:
    if "retry-budget" not in section.nodes:
        return None
    found = section.section("retry-budget")
    values = {name: found.get(name) for name in ("ratio", "floor", "window") if name in found.values}
    allowed = [_allowed(stages, RetryBudgetConfig, name, value, found) for name, value in values.items()]
    return RetryBudgetConfig(**values) if all(allowed) else None


def _allowed(stages: StageReader, cls: type[Any], name: str, value: float, section: Section) -> bool:
    """Whether a number is within its bounds; a problem is noted where it is not."""
    key = name.replace("_", "-")
    try:
        stages.decoder.check(value, bounds_of(cls, attrs.fields_dict(cls)[name]), section.place(key), key)
    except UnreadableError:
        return False
    return True
