"""Reads how health is judged: ``discover.monitor.health``."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from .bounds import bounds_of
from .decoder import UnreadableError
from .model import HealthConfig
from .quoting import quoted
from .sections import Section
from .stages import StageReader

__all__ = ["read_health"]


def read_health(stages: StageReader, top: Section, stores: Collection[str]) -> HealthConfig:
    """What ``discover.monitor.health`` says; the defaults where it says nothing, or nothing that can be read.

    Args:
        stages: What reads stages.
        top: The whole configuration.
        stores: The names of the state stores.
    """
    health = top.section("discover").section("monitor").section("health")
    values = {}
    for field in attrs.fields(HealthConfig):
        key = field.name.replace("_", "-")
        section = health.section("grace-period") if field.name == "min_requests" else health
        if key not in section.values:
            continue
        try:
            stages.decoder.check(section.get(key), bounds_of(HealthConfig, field), section.place(key), key)
        except UnreadableError:
            continue  # noted
        values[field.name] = section.get(key)
    named = values.get("state", "memory")
    if named not in stores:
        sentence = f"no state store is called {quoted(named)}: write it under state"
        stages.decoder.problems.add(health.place("state"), sentence, word=named, known=stores)
    return HealthConfig(**values)
