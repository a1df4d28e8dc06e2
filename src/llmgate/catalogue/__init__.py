"""Providers and models as data, with the code that looks them up; nothing is read until it is asked for."""

from __future__ import annotations

from .addresses import resolve_base_url
from .domains import DomainPatterns, provider_for_domain
from .facts import facts_of
from .models import default_model_mapping, family
from .rows import OPENAI_RELAY_PATHS, OPENAI_SOCKETS, RESERVED_NAMES, provider_row, provider_rows
from .targets import parse_target

__all__ = [
    "OPENAI_RELAY_PATHS",
    "OPENAI_SOCKETS",
    "RESERVED_NAMES",
    "DomainPatterns",
    "default_model_mapping",
    "facts_of",
    "family",
    "parse_target",
    "provider_for_domain",
    "provider_row",
    "provider_rows",
    "resolve_base_url",
]
