"""The vendors' client libraries without a socket: their requests enter a pipeline of this process.

``http_client`` and ``async_http_client`` make what ``OpenAI(http_client=...)``, ``Anthropic(http_client=...)`` and
their like take; ``llmgate.sdk.openai`` and ``llmgate.sdk.anthropic`` are the libraries themselves with that in place.
"""

from __future__ import annotations

try:
    from .clients import async_http_client, http_client
except ModuleNotFoundError as missing:
    package = (missing.name or "").partition(".")[0]
    if package not in {"httpx2", "starlette"}:
        raise
    raise ModuleNotFoundError(
        f"llmgate.sdk needs {package}: install it with `pip install 'llmgate[sdk]'`", name=package
    ) from missing

from .door import NO_KEY
from .process import close, configure, default_pipeline

__all__ = ["NO_KEY", "async_http_client", "close", "configure", "default_pipeline", "http_client"]
