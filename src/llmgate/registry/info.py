"""What ``llmgate plugins`` tells of one stage."""

from __future__ import annotations

import inspect
from typing import Any, Final

import attrs

from llmgate.spec import Stage

__all__ = ["HEALTHY", "PluginInfo", "summary_of"]

HEALTHY: Final = "ok"


@attrs.frozen
class PluginInfo:
    """One stage that is installed.

    Args:
        kind: The kind's id; ``""`` when the plugin could not be imported, so that nobody knows.
        id: The stage's id, what the configuration writes after ``use:``.
        distribution: The distribution that it comes from; the module, for a plugin that was handed over.
        version: That distribution's version, ``""`` when it has none.
        summary: The first line of the stage's docstring.
        health: ``ok``, or why it cannot be used.
    """

    kind: str
    id: str
    distribution: str
    version: str = ""
    summary: str = ""
    health: str = HEALTHY


def summary_of(stage_class: type[Stage[Any]]) -> str:
    """The first line of a class's own docstring, ``""`` when it has none."""
    text = inspect.cleandoc(stage_class.__doc__ or "")
    return text.partition("\n")[0].strip()
