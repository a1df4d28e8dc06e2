"""The interceptor ``target-domains``: which targets callers may name freely, which within limits, which not at all."""

from __future__ import annotations

from .config import TargetDomainsConfig
from .interceptor import TargetDomains

__all__ = ["TargetDomains", "TargetDomainsConfig"]
