"""What is told, in the words of who is told; nothing that a caller has written can be more than a word of it.

Sources: Slack, "Formatting text for app surfaces" (``&``, ``<``, ``>`` are escaped; nothing in a code span is a link or
a mention); Discord, "Execute Webhook" (2,000 characters, ``allowed_mentions``).
"""

from __future__ import annotations

import json
from typing import Any, Final

import attrs

from llmgate.spec import usd

from .config import Rule

__all__ = ["Notice"]

_LONGEST: Final = 200
_MOST_OF_DISCORD: Final = 2000


@attrs.frozen
class Notice:
    """That a threshold is passed, or is kept again.

    Args:
        id: The notice's own, the same however often it is sent.
        rule: The threshold.
        value: Which provider, key and so on; None where requests have none.
        others: Whether it stands for all those beyond the rule's ``values``.
        resolved: Whether it is over.
        total: Requests in the window.
        amount: What they amount to: nano-USD, errors, or those that took too long.
        exchange: The id of the exchange that passed it; None where none did.
        at: Seconds since the epoch.
    """

    id: str
    rule: Rule
    value: str | None
    others: bool
    resolved: bool
    total: int
    amount: int
    exchange: str | None
    at: float

    def text(self) -> str:
        """One line for people, the value in backticks."""
        rule = self.rule
        whose = ""
        if self.others:
            whose = f" of {rule.per}s beyond the first {rule.values} together"
        elif rule.per != "none":
            whose = (
                f" of requests without {rule.per}" if self.value is None else f" of {rule.per} {_quoted(self.value)}"
            )
        head = "resolved" if self.resolved else "alert"
        seen = f"{self._measured()} in the last {_length(rule.window)}"
        last = f" (exchange {self.exchange})" if self.exchange else ""
        return f"{head}: {rule.name}: {self._subject()}{whose}: {seen}{last}"

    def for_slack(self) -> bytes:
        """The body of Slack's incoming webhook."""
        text = self.text().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return _dumped({"text": text})

    def for_discord(self) -> bytes:
        """The body of Discord's webhook."""
        return _dumped({"content": self.text()[:_MOST_OF_DISCORD], "allowed_mentions": {"parse": []}})

    def as_event(self, moment: str) -> bytes:
        """The body of an event of the Standard Webhooks kind.

        Args:
            moment: Its timestamp.
        """
        return _dumped({"type": "llmgate.alert", "timestamp": moment, "data": self.as_json()})

    def as_json(self) -> dict[str, Any]:
        """The notice as plain JSON values."""
        rule = self.rule
        return {
            "id": self.id,
            "status": "resolved" if self.resolved else "firing",
            "rule": rule.name,
            "of": rule.of,
            "per": rule.per,
            "value": None if self.value is None else _shown(self.value),
            "others": self.others,
            "over": rule.over,
            "window": rule.window,
            "percentile": rule.percentile if rule.of in ("latency", "first-content") else None,
            "requests": self.total,
            "amount": usd(self.amount) if rule.of == "spend" else str(self.amount),
            "exchange": self.exchange,
            "text": self.text(),
        }

    def _subject(self) -> str:
        rule = self.rule
        if rule.of in ("latency", "first-content"):
            return f"p{rule.percentile:g} of {rule.of} over {rule.over} s"
        return f"{rule.of} over {rule.over}{' USD' if rule.of == 'spend' else ''}"

    def _measured(self) -> str:
        match self.rule.of:
            case "spend":
                return f"{usd(self.amount)} USD for {self.total} requests"
            case "requests":
                return f"{self.total} requests"
            case "errors" | "error-rate":
                return f"{self.amount} errors in {self.total} requests"
        return f"{self.amount} of {self.total} requests took longer"


def _dumped(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _shown(text: str) -> str:
    """A caller's word: at most 200 characters, none of which moves the cursor, ends the line or hides another."""
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in cut)


def _quoted(text: str) -> str:
    """In a code span, in which Slack and Discord see neither mentions nor links; it cannot be left."""
    return f"`{_shown(text).replace('`', chr(39)) or ' '}`"


def _length(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
