"""The command line: one file a command, each with ``add_parser`` and ``run``; no logic of its own."""

from __future__ import annotations

from .program import main

__all__ = ["main"]
