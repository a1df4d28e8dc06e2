"""Records in words for a terminal: a line each, colours where somebody looks, nothing that could move the cursor."""

from __future__ import annotations

import datetime as dt
import os
import sys
from typing import Final

from llmgate.spec import Record, usd

__all__ = ["Paint", "coloured", "head_of", "length_of", "line_of", "money_of", "safe"]

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_NANO: Final = 1_000_000_000


class Paint:
    """Puts colours around words, or leaves them as they are.

    Args:
        on: Whether there are colours.
    """

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, text: str, *names: str) -> str:
        """The text in colours."""
        if not self._on or not names:
            return text
        return f"\x1b[{';'.join(_CODES[name] for name in names)}m{text}\x1b[0m"


def coloured(wish: str) -> Paint:
    """The colours for standard output.

    Args:
        wish: ``always``, ``never``, or ``auto`` for where it is a terminal and ``NO_COLOR`` is not set.
    """
    if wish == "auto":
        return Paint(sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    return Paint(wish == "always")


def safe(text: object, longest: int = 200) -> str:
    """A text without anything that a terminal would obey."""
    words = str(text)
    words = words if len(words) <= longest else words[: longest - 1] + "…"
    if words.isprintable():
        return words
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in words)


def money_of(nano: int | None, unknown: int = 0) -> str:
    """An amount, in as many digits as say something; ``?`` where it is not known, ``+?`` where some of it is not."""
    if nano is None or (unknown and not nano):
        return "?"
    digits = 2 if abs(nano) >= 10 * _NANO else 4 if abs(nano) >= _NANO // 100 else 9
    whole = usd(abs(nano))
    text = whole if digits == 9 else f"{abs(nano) / _NANO:.{digits}f}"
    return f"{'-' if nano < 0 else ''}${text.rstrip('0').rstrip('.') if digits == 9 else text}{'+?' if unknown else ''}"


def length_of(seconds: float | None) -> str:
    """A length of time for people."""
    if seconds is None:
        return "-"
    if seconds < 0.0995:
        return f"{seconds * 1000:.1f}ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.2f}s" if seconds < 100 else f"{seconds:.0f}s"


def head_of(moment: float, zone: dt.tzinfo, *, day: bool = True) -> str:
    """A moment for people."""
    return dt.datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S")


def line_of(record: Record, paint: Paint, zone: dt.tzinfo) -> str:
    """A record in one line."""
    colour = {"ok": "green", "disconnected": "yellow", "cancelled": "yellow"}.get(record.outcome, "red")
    usage = record.usage
    tokens = "-"
    if usage is not None:
        tokens = f"{_count(usage.input_tokens)}→{_count(usage.output_tokens)}"
    model = record.response_model or record.request_model or "-"
    provider = record.attempts[-1].provider_name if record.attempts else "-"
    words = [
        paint(head_of(record.started_at, zone), "dim"),
        paint(f"{record.status or '-':>3}", colour),
        f"{safe(record.operation, 16):<10}",
        paint(f"{safe(provider, 20)}/{safe(model, 40)}", "cyan"),
        tokens,
        money_of(record.cost_nano),
        length_of(record.duration),
    ]
    if record.cache in ("hit", "stale"):
        words.append(paint(f"cache {safe(record.cache)}", "blue"))
    if len(record.attempts) > 1:
        words.append(paint(f"{len(record.attempts)} attempts", "yellow"))
    words.append(safe(record.user or record.principal or "-", 40))
    if record.outcome not in ("ok", "error"):
        words.append(paint(safe(record.outcome), colour))
    if record.error_code:
        words.append(paint(safe(record.error_code, 60), "red"))
    words.append(paint(safe(record.id, 64), "dim"))
    return "  ".join(words)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"
