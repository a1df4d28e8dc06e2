"""Everything that is wrong with a configuration, gathered so that the operator sees all of it at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from llmgate.spec import ConfigError

from .quoting import redacted
from .suggest import did_you_mean

__all__ = ["Problems", "Where"]

_MOST: Final = 100
"""How many problems are shown, and how many of them with a guess at what was meant, which takes long to make."""


@attrs.frozen(order=True)
class Where:
    """A place in what the operator wrote.

    Args:
        source: The file as it was named, or ``environment variable X``, or the path in a mapping.
        line: From 1; 0 where the source has no lines.
        column: From 1; 0 where the source has no lines.
    """

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@attrs.define
class Problems:
    """A list of problems that is raised as one ``ConfigError``."""

    _found: dict[tuple[Where, str], None] = attrs.field(factory=dict, init=False)

    def add(self, where: Where, sentence: str, *, word: str = "", known: Iterable[str] = ()) -> None:
        """Note a problem; whatever in it could be a key is left out.

        Args:
            where: The place of it.
            sentence: What is wrong and what to do, lower case, without a full stop.
            word: A word that is perhaps misspelt.
            known: The words that it could have been.
        """
        guess = did_you_mean(word, known) if word and len(self._found) < _MOST else ""
        self._found.setdefault((where, redacted(sentence + guess)))

    def __len__(self) -> int:
        return len(self._found)

    def lines(self) -> list[str]:
        """One ``place: sentence`` each, files first and from top to bottom; what goes past the bound is counted."""
        ordered = sorted(self._found, key=lambda found: (found[0].line == 0, found[0]))
        shown = [_printable(f"{where}: {sentence}") for where, sentence in ordered[:_MOST]]
        return shown if len(ordered) <= _MOST else [*shown, f"and {len(ordered) - _MOST} more problems"]

    def raise_if_any(self) -> None:
        """Raise all of it.

        Raises:
            ConfigError: there is at least one problem.
        """
        if self._found:
            lines = self.lines()
            raise ConfigError("\n".join(lines), problems=lines)


def _printable(line: str) -> str:
    """The line without characters that could change a terminal or a log, which names in a file may have."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
