"""The interceptor ``request-rules``: what may be asked, of whom, how much at once, and how long an answer may be."""

from __future__ import annotations

from .config import RequestRulesConfig
from .interceptor import RequestRules

__all__ = ["RequestRules", "RequestRulesConfig"]
