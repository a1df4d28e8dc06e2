"""The interceptor ``rate-limit``: how many requests or tokens each caller, or all together, may ask for in a time."""

from __future__ import annotations

from .config import LimitConfig, PerApiKeyConfig, RateLimitConfig
from .interceptor import RateLimit, RateLimitUnknownError

__all__ = ["LimitConfig", "PerApiKeyConfig", "RateLimit", "RateLimitConfig", "RateLimitUnknownError"]
