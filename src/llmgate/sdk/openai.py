"""The ``openai`` library with this process's pipeline behind it: ``from llmgate.sdk import openai``.

Everything that is not here is the library's own: ``openai.RateLimitError``, ``openai.types``.
"""

from __future__ import annotations

from typing import Any

import httpx2
import openai as vendor

from llmgate.spec import ControlsLike

from .clients import BASE_URL, async_http_client, http_client, only
from .door import NO_KEY
from .process import default_pipeline

__all__ = ["AsyncOpenAI", "OpenAI"]


class OpenAI(vendor.OpenAI):
    """``openai.OpenAI`` whose requests go through this process's pipeline; it needs no key, and reads none.

    Args:
        api_key: A key of the gateway's own, where it asks for one; without it the caller is trusted.
        base_url: Chooses the gateway's surface by its path, for example ``http://llmgate/router/main``.
        http_client: Another way out; None for this process's pipeline.
        controls: What holds for each request whose own headers (``extra_headers``) do not say otherwise.
        **options: The library's own.
    """

    def __init__(
        self,
        *,
        api_key: Any = None,
        base_url: str | httpx2.URL | None = None,
        http_client: httpx2.Client | None = None,
        controls: ControlsLike | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            api_key=NO_KEY if api_key is None else api_key,
            base_url=f"{BASE_URL}/v1" if base_url is None else base_url,
            http_client=_client(controls) if http_client is None else only(http_client, controls),
            **options,
        )


class AsyncOpenAI(vendor.AsyncOpenAI):
    """``openai.AsyncOpenAI`` whose requests go through this process's pipeline; the arguments are those of ``OpenAI``.

    It may be used on any event loop, since the pipeline runs on one of its own.
    """

    def __init__(
        self,
        *,
        api_key: Any = None,
        base_url: str | httpx2.URL | None = None,
        http_client: httpx2.AsyncClient | None = None,
        controls: ControlsLike | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            api_key=NO_KEY if api_key is None else api_key,
            base_url=f"{BASE_URL}/v1" if base_url is None else base_url,
            http_client=_async_client(controls) if http_client is None else only(http_client, controls),
            **options,
        )


def _client(controls: ControlsLike | None) -> httpx2.Client:
    return http_client(default_pipeline(), controls=controls)


def _async_client(controls: ControlsLike | None) -> httpx2.AsyncClient:
    return async_http_client(default_pipeline(), controls=controls)


def __getattr__(name: str) -> Any:
    return getattr(vendor, name)
