"""Names that stand for other names: a model asked for, and the ``provider/model`` that serve it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from llmgate.spec import Audience

__all__ = ["ModelMapping"]


class ModelMapping:
    """For a model asked for, ``provider/model`` candidates.

    A name may hold one or more ``*``, each standing for any text; an exact name wins over a pattern, and the pattern
    written first over the later ones. A ``*`` in a candidate is replaced by what the name's ``*`` stood for.

    Args:
        entries: Candidates by name.
        audiences: For names of which some candidates are kept for some callers, whom each is kept for.
    """

    def __init__(
        self,
        entries: Mapping[str, Sequence[str]] | None = None,
        audiences: Mapping[str, Sequence[Audience | None]] | None = None,
    ) -> None:
        entries = entries or {}
        self._audiences = audiences or {}
        self._exact = {name: tuple(candidates) for name, candidates in entries.items() if "*" not in name}
        self._patterns = [(_compiled(name), tuple(candidates)) for name, candidates in entries.items() if "*" in name]

    @property
    def names(self) -> Iterator[str]:
        """The exact names."""
        return iter(self._exact)

    def exactly(self, name: str) -> Sequence[str]:
        """What stands for a name that is listed as it is, nothing for any other."""
        return self._exact.get(name, ())

    def candidates(self, name: str) -> Sequence[str]:
        """What stands for a name, nothing when it is not listed."""
        found = self._exact.get(name)
        if found is not None:
            return found
        for pattern, candidates in self._patterns:
            match = pattern.fullmatch(name)
            if match is not None:
                return [_filled(candidate, match.groups()) for candidate in candidates]
        return ()

    def audiences(self, name: str) -> Sequence[Audience | None]:
        """For each candidate of a name, the callers that it is kept for; nothing where they are everybody's."""
        if not self._audiences:
            return ()
        if name not in self._exact:
            matched = (entry for entry in self._audiences if "*" in entry and _compiled(entry).fullmatch(name))
            name = next(matched, name)
        return self._audiences.get(name, ())

    def find(self, names: Sequence[str], provider_name: str) -> str | None:
        """The first candidate that belongs to a provider, under the first of the names that has one."""
        for name in names:
            for candidate in self.candidates(name):
                owner, _, model = candidate.partition("/")
                if owner == provider_name and model:
                    return model
        return None


def _compiled(name: str) -> re.Pattern[str]:
    # The texts between are literal, so that matching stays linear for one star, which is the rule.
    return re.compile("(.*?)".join(re.escape(part) for part in name.split("*")))


def _filled(candidate: str, texts: Sequence[str | None]) -> str:
    parts = candidate.split("*")
    filled = parts[0]
    for position, part in enumerate(parts[1:]):
        filled += (texts[min(position, len(texts) - 1)] or "") + part
    return filled
