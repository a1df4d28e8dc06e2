"""The interceptor ``cache``: answers that are kept, and given again to equal requests."""

from __future__ import annotations

from .config import CacheConfig
from .interceptor import Cache, NotCachedError

__all__ = ["Cache", "CacheConfig", "NotCachedError"]
