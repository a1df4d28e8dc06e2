"""What installed distributions offer, read from their metadata alone; nothing is imported here but on ``load``."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

import attrs

from llmgate.spec import PluginError

if TYPE_CHECKING:
    import importlib.metadata

__all__ = ["GROUP", "EntryPointPlugin", "discover", "normalised"]

GROUP: Final = "llmgate"
"""The entry-point group: one entry point per stage id, ``my-stage = "my_distribution.my_stage"``."""


@attrs.frozen(eq=False)
class EntryPointPlugin:
    """One entry point of the group.

    Args:
        name: Its name, which is the stage's id.
        target: What it points at, ``module`` or ``module:attribute``.
        distribution: The distribution that declares it.
        version: That distribution's version.
        entry_point: The entry point itself.
    """

    name: str
    target: str
    distribution: str
    version: str
    entry_point: importlib.metadata.EntryPoint = attrs.field(repr=False)

    def load(self) -> Any:
        """Import what the entry point points at.

        Raises:
            PluginError: it cannot be imported; the message names the entry point, its distribution and the cause.
        """
        try:
            return self.entry_point.load()
        except (Exception, SystemExit) as cause:
            raise PluginError(
                f"plugin {self.name!r} of {self.label} cannot be imported from {self.target}: "
                f"{type(cause).__name__}: {cause}; repair or uninstall {self.distribution}, or list {self.name!r} "
                "under plugins: block"
            ) from cause

    @property
    def label(self) -> str:
        """The distribution with its version, for messages."""
        return f"{self.distribution} {self.version}".strip()


def discover(block: Collection[str] = (), group: str = GROUP) -> list[EntryPointPlugin]:
    """Every entry point of the group, in the order of names, those of the same name by distribution.

    Args:
        block: Names of entry points or of distributions to leave out.
        group: The entry-point group.
    """
    # Late: it costs as much as all of pluggy, and a gateway that is embedded with explicit plugins may never ask.
    import importlib.metadata

    blocked = {normalised(name) for name in block}
    found = [_described(entry_point) for entry_point in importlib.metadata.entry_points(group=group)]
    kept = [one for one in found if not blocked & {normalised(one.name), normalised(one.distribution)}]
    return sorted(kept, key=lambda one: (one.name, one.distribution, one.target))


def normalised(name: str) -> str:
    """A name as packaging compares it (PEP 503): lower case, runs of ``-``, ``_`` and ``.`` as one hyphen."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _described(entry_point: importlib.metadata.EntryPoint) -> EntryPointPlugin:
    distribution = entry_point.dist
    return EntryPointPlugin(
        name=entry_point.name,
        target=entry_point.value,
        distribution=distribution.name if distribution else "an unknown distribution",
        version=distribution.version if distribution else "",
        entry_point=entry_point,
    )
