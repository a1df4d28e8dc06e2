"""One request as a tree: each step with its verdict, and below it what a provider was asked and what it said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import attrs

from llmgate.spec import AttemptRecord, Content, Record

from .amounts import exact, length, money

__all__ = ["Step", "readable", "steps_of"]

_GOOD: Final = frozenset({"passed", "changed", "answered", "ok", "hit", "miss", "stale"})
_ATTEMPT: Final = "attempt"


@attrs.frozen
class Step:
    """One step.

    Args:
        name: What was done.
        verdict: What came of it.
        good: Whether that is as it should be.
        seconds: How long it took; None where that is not known.
        start: When it began, in hundredths of the whole; None where that is not known.
        width: How long it took, in hundredths of the whole.
        facts: What else is known of it.
    """

    name: str
    verdict: str
    good: bool
    seconds: float | None
    start: float | None = None
    width: float = 0.0
    facts: Sequence[tuple[str, str]] = ()


def steps_of(record: Record) -> Sequence[Step]:
    """The steps of a request, each attempt in its place among them."""
    attempts = list(record.attempts)
    found: list[Step] = []
    for one in record.stages:
        if one.stage.split(" ", 1)[0] == _ATTEMPT and attempts:
            found.append(_attempt(attempts.pop(0), record, one.verdict))
        else:
            good = one.verdict in _GOOD or one.verdict[:1].isdigit()
            seconds = one.microseconds / 1e6
            found.append(Step(one.stage, one.verdict, good, seconds, None, _share(seconds, record)))
    return [*found, *(_attempt(one, record, "") for one in attempts)]


def _attempt(one: AttemptRecord, record: Record, verdict: str) -> Step:
    failed = one.error_code is not None
    said = one.error_code or ("abandoned" if one.abandoned else verdict or "answered")
    return Step(
        name=f"{_ATTEMPT} {one.deployment}",
        verdict=said,
        good=not failed and not one.abandoned,
        seconds=one.duration,
        start=min(100.0, _share(one.started, record)),
        width=_share(one.duration or 0.0, record),
        facts=[(name, text) for name, text in _facts(one) if text],
    )


def _facts(one: AttemptRecord) -> Sequence[tuple[str, str]]:
    usage = one.usage
    tokens = "" if usage is None else f"{exact(usage.input_tokens)} in, {exact(usage.output_tokens)} out"
    version = f" (version {one.credential_version})" if one.credential_version else ""
    return [
        ("Provider", one.provider_name),
        ("Model", one.model),
        ("Status", "" if one.status is None else str(one.status)),
        ("First content", "" if one.first_content is None else f"after {length(one.first_content)}"),
        ("Tokens", tokens),
        ("Cost", f"{money(one.cost_nano)}{' (estimated)' if one.cost_estimated else ''}"),
        ("Service tier", one.service_tier or ""),
        ("Credential", f"{one.credential_ref}{version}" if one.credential_ref else ""),
        ("Fingerprint", one.credential_fingerprint),
        ("Provider's request id", one.provider_request_id or ""),
        ("Error", one.error_message or ""),
        ("Lost", "no whole answer came back" if one.lost else ""),
    ]


def _share(seconds: float, record: Record) -> float:
    whole = record.duration
    return round(min(100.0, 100 * seconds / whole), 2) if whole > 0 else 0.0


def readable(content: Content) -> str:
    """A kept text; JSON is indented where it is whole."""
    text = content.text or ""
    if content.truncated or "json" not in content.media_type:
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
