"""What an adapter needs for a vendor whose wire format is known: address, credential, errors. Plugins build on it."""

from __future__ import annotations

from .adapter import FormatAdapter
from .errors import error_inside_success, parse_error, shown_headers
from .requests import build_request, origin_of

__all__ = ["FormatAdapter", "build_request", "error_inside_success", "origin_of", "parse_error", "shown_headers"]
