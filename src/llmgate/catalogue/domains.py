"""Which provider a host name belongs to.

The match is of whole host names, never of beginnings: a gateway that took ``api.openai.com.attacker.example`` for
OpenAI would send the operator's key there.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from llmgate.spec import ProviderRow

from .rows import provider_rows

__all__ = ["DomainPatterns", "provider_for_domain"]

_HOST: Final = re.compile(r"(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?(?::[0-9]{1,5})?", re.ASCII)

_PATTERN: Final = re.compile(r"\.?[a-z0-9_*-]+(?:\.[a-z0-9_*-]+)*", re.ASCII)


class DomainPatterns:
    """Host names as an operator lists them: a whole name, ``*`` for a part of one label, a dot in front for all below.

    Args:
        patterns: ``api.example.com``, ``api-*.example.com``, or ``.example.com`` for every name below it, at any depth.

    Raises:
        ValueError: one of them is none of these; the message quotes it.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        written = [pattern.strip().lower() for pattern in patterns]
        for pattern in written:
            if not _PATTERN.fullmatch(pattern) or not pattern.strip("*.") or pattern.rpartition(".")[2].isdecimal():
                raise ValueError(
                    f"{pattern!r} is no domain: write api.example.com, api-*.example.com, or .example.com for all below"
                )
        self._exact = frozenset(one for one in written if "*" not in one and not one.startswith("."))
        self._wild = [_below(one) for one in written if "*" in one or one.startswith(".")]

    def fit(self, host: str) -> bool:
        """Whether one of them is the host's.

        Args:
            host: A plain host name in lower case, no trailing dot, no port.
        """
        return host in self._exact or any(one.fullmatch(host) for one in self._wild)


def provider_for_domain(host: str) -> ProviderRow | None:
    """The provider that a host belongs to.

    Args:
        host: A host name, in any case, with or without a trailing dot and a port. Whatever is not a plain host name
            (user info, a path, a space, a letter beyond ASCII) belongs to nobody.

    Returns:
        The row with that very host name among its domains, else the most specific one whose ``*`` (part of one label)
        fits; None when there is none.
    """
    match = _HOST.fullmatch(host.lower()) if host.isascii() else None
    if match is None:
        return None
    name = match["name"]
    exact, patterns = _domains()
    if name in exact:
        return exact[name]
    return next((row for pattern, row in patterns if pattern.fullmatch(name)), None)


@functools.cache
def _domains() -> tuple[Mapping[str, ProviderRow], Sequence[tuple[re.Pattern[str], ProviderRow]]]:
    """The domains of all rows: plain ones by name, and those with ``*``, most literal characters first."""
    exact: dict[str, ProviderRow] = {}
    wild: list[tuple[str, ProviderRow]] = []
    for row in provider_rows().values():
        for domain in row.domains:
            if "*" in domain:
                wild.append((domain, row))
            else:
                exact[domain] = row
    wild.sort(key=lambda entry: len(entry[0]), reverse=True)
    return MappingProxyType(exact), [(_compiled(domain), row) for domain, row in wild]


def _below(pattern: str) -> re.Pattern[str]:
    """A pattern that may begin with a dot, for any number of labels in front."""
    if not pattern.startswith("."):
        return _compiled(pattern)
    return re.compile(r"(?:[a-z0-9_-]+\.)+" + _compiled(pattern[1:]).pattern)


def _compiled(domain: str) -> re.Pattern[str]:
    """A pattern in which ``*`` is one or more characters of one label."""
    return re.compile("[a-z0-9_-]+".join(re.escape(part) for part in domain.split("*")))
