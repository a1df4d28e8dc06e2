"""HTTP in: a thin Starlette host around a Pipeline that it is given and never builds."""

from __future__ import annotations

from .app import create_app

__all__ = ["create_app"]
