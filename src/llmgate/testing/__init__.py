"""What a plugin author tests with: a clock and a transport in the test's hands, a fake provider, the conformance kit.

It ships in the wheel. Names are imported when they are first used: pytest loads ``llmgate.testing.plugin`` before
coverage is measured, and nothing else may come with it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clock import FakeClock as FakeClock
    from .transport import (
        AnsweringTransport as AnsweringTransport,
        ScriptedAnswer as ScriptedAnswer,
        ScriptedTransport as ScriptedTransport,
        json_answer as json_answer,
        stream_answer as stream_answer,
    )
    from .upstream import FakeUpstream as FakeUpstream

__all__ = [
    "AnsweringTransport",
    "FakeClock",
    "FakeUpstream",
    "ScriptedAnswer",
    "ScriptedTransport",
    "json_answer",
    "stream_answer",
]

_HOMES = {"FakeClock": "clock", "FakeUpstream": "upstream"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'transport')}"), name)
