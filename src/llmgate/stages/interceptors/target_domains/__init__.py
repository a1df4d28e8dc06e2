"""The interceptor ``target-domains``: which targets callers may name freely, which within limits, which not at all."""

from __future__ import annotations

from .book import DomainBook, DomainEvent, Standing, standings
from .config import TargetDomainsConfig
from .interceptor import TargetDomains

__all__ = ["DomainBook", "DomainEvent", "Standing", "TargetDomains", "TargetDomainsConfig", "standings"]
