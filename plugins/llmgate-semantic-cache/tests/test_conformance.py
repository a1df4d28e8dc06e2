"""What every interceptor promises, kept by ``semantic-cache``."""

from __future__ import annotations

from llmgate_semantic_cache.config import SemanticCacheConfig
from llmgate_semantic_cache.interceptor import SemanticCache

from llmgate.testing.conformance import InterceptorConformance


class TestSemanticCache(InterceptorConformance):
    stage_class = SemanticCache
    config = SemanticCacheConfig(model="embed")
