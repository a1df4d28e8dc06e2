"""How long a caller waits, as it says in its headers: an answer that comes later is nobody's, and only its cost stays.

A client library that has waited long enough closes the connection and asks again, so that three of its tries become
three times ours. Told in time that there is no answer, and not to repeat, it does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import attrs

from llmgate.config.durations import seconds
from llmgate.spec import InvalidRequestError

__all__ = ["OWN", "Patience", "patience_of"]

OWN: Final = "llmgate-timeout"
"""The header by which a caller says how long the whole answer may take."""

_LIBRARIES: Final = ("x-stainless-read-timeout", "x-stainless-timeout", "x-server-timeout")
"""What client libraries say of themselves, in seconds: OpenAI's and Anthropic's of silence, Google's of the whole."""

_LONGEST_MARGIN: Final = 1.0
_SHARE: Final = 0.05
"""How much earlier than a library gives up it is told: a share of its time, so that the answer still reaches it."""


@attrs.frozen
class Patience:
    """How long a caller waits, in seconds from now on.

    Args:
        whole: For all of the answer; infinite where it does not say.
        silence: For the first sign of one; infinite where it does not say.
    """

    whole: float = math.inf
    silence: float = math.inf


def patience_of(headers: Mapping[str, str]) -> Patience | None:
    """What a caller's headers say of how long it waits; None where they say nothing.

    What a library says of itself is taken for what it means and never refused: it says ``None`` at times.

    Args:
        headers: The caller's headers, lower-case names.

    Raises:
        InvalidRequestError: its own word on it is no time.
    """
    whole, silence = math.inf, math.inf
    own = headers.get(OWN)
    if own is not None:
        whole = _read(own) or seconds(own) or 0.0
        if whole <= 0:
            raise InvalidRequestError(
                f"{OWN}: {own[:40]!r} is no time: write seconds, such as 2.5, or a duration such as 500ms",
                code="invalid_timeout",
            )
    for name in _LIBRARIES:
        text = headers.get(name)
        said = _read(text) if text is not None else None
        if said is not None and said > 0:
            silence = min(silence, said - min(_LONGEST_MARGIN, _SHARE * said))
    return None if whole == silence == math.inf else Patience(whole, silence)


def _read(text: str) -> float | None:
    """A number of seconds; None where the text is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
