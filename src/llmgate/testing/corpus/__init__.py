"""Requests as clients send them: what adapters, formats and whole pipelines are tried with.

Each file in ``chat/`` is the body of an OpenAI chat completions request.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

__all__ = ["chat_corpus"]


@functools.cache
def chat_corpus() -> Mapping[str, bytes]:
    """The chat requests by name, in the order of their names."""
    folder = files(__name__).joinpath("chat")
    bodies = {
        entry.name.removesuffix(".json"): entry.read_bytes()
        for entry in folder.iterdir()
        if entry.name.endswith(".json")
    }
    return MappingProxyType(dict(sorted(bodies.items())))
