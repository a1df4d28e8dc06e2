"""What a new plugin is called: the id that was asked for, and every name that follows from it."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import attrs

from llmgate import spec

__all__ = ["LONGEST", "PluginName", "read_name"]

LONGEST: Final = 32
"""Characters of a name; what is made of it still fits on a line."""
_SLUG: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_OWN: Final = "llmgate"


@attrs.frozen
class PluginName:
    """The id of a stage, and the names that follow from it.

    Args:
        id: The stage's id, what the configuration writes after ``use:``.
    """

    id: str

    @property
    def distribution(self) -> str:
        """What pip installs."""
        return f"{_OWN}-{self.id}"

    @property
    def module(self) -> str:
        """What Python imports."""
        return self.distribution.replace("-", "_")

    def class_name(self, noun: str) -> str:
        """The stage's class: the id in camel case and the noun of its kind, unless the id ends with it already.

        Raises:
            ValueError: the contract has a class of that name.
        """
        camel = "".join(part.capitalize() for part in self.id.split("-"))
        name = camel if camel.endswith(noun) else camel + noun
        if name in spec.__all__:
            raise ValueError(
                f"{self.id!r} would make the class {name}, which is llmgate.spec's own: write what the plugin does, "
                f"such as {'csv' if noun == 'Logger' else 'my'}-{self.id}"
            )
        return name


def read_name(text: str) -> PluginName:
    """The name that was written.

    Raises:
        ValueError: it is none; the message says what to write, and what was probably meant.
    """
    meant = _as_slug(text)
    if text == meant and len(text) <= LONGEST:
        return PluginName(text)
    hint = f" (did you mean {meant!r}?)" if meant and len(meant) <= LONGEST else ""
    if text.lower().startswith((f"{_OWN}-", f"{_OWN}_")):
        raise ValueError(f"{text!r}: leave {_OWN}- out, the package gets it by itself{hint}")
    raise ValueError(
        f"{text[: 2 * LONGEST]!r} is no name of a plugin: write at most {LONGEST} lower-case letters, digits and "
        f"single hyphens, a letter first{hint}"
    )


def _as_slug(text: str) -> str:
    """The name that is nearest to a text, ``""`` where there is none."""
    plain = unicodedata.normalize("NFKD", text[: 4 * LONGEST]).encode("ascii", "ignore").decode()
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", plain).lower()
    slug = re.sub(r"[^a-z0-9]+", "-", parted).strip("-").removeprefix(f"{_OWN}-").lstrip("0123456789-")
    return slug if _SLUG.fullmatch(slug) else ""
