"""The ``anthropic`` library with this process's pipeline behind it: ``from llmgate.sdk import anthropic``.

Everything that is not here is the library's own: ``anthropic.RateLimitError``, ``anthropic.types``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import anthropic as vendor
import httpx2

from llmgate.spec import ControlsLike

from .clients import BASE_URL, async_http_client, http_client, only
from .door import NO_KEY
from .process import default_pipeline

__all__ = ["Anthropic", "AsyncAnthropic"]

_CREDENTIALS: Final = ("api_key", "auth_token", "credentials", "config", "profile")


class Anthropic(vendor.Anthropic):
    """``anthropic.Anthropic`` whose requests go through this process's pipeline; it needs no key, and reads none.

    Args:
        base_url: Chooses the gateway's surface by its path, for example ``http://llmgate/router/main``.
        http_client: Another way out; None for this process's pipeline.
        controls: What holds for each request whose own headers (``extra_headers``) do not say otherwise.
        **options: The library's own. ``api_key`` is one of the gateway's, where it asks for one; without it the caller
            is trusted.
    """

    def __init__(
        self,
        *,
        base_url: str | httpx2.URL | None = None,
        http_client: httpx2.Client | None = None,
        controls: ControlsLike | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            base_url=BASE_URL if base_url is None else base_url,
            http_client=_client(controls) if http_client is None else only(http_client, controls),
            **_with_key(options),
        )


class AsyncAnthropic(vendor.AsyncAnthropic):
    """``anthropic.AsyncAnthropic`` through this process's pipeline; the arguments are those of ``Anthropic``.

    It may be used on any event loop, since the pipeline runs on one of its own.
    """

    def __init__(
        self,
        *,
        base_url: str | httpx2.URL | None = None,
        http_client: httpx2.AsyncClient | None = None,
        controls: ControlsLike | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            base_url=BASE_URL if base_url is None else base_url,
            http_client=_async_client(controls) if http_client is None else only(http_client, controls),
            **_with_key(options),
        )


def _client(controls: ControlsLike | None) -> httpx2.Client:
    return http_client(default_pipeline(), controls=controls)


def _async_client(controls: ControlsLike | None) -> httpx2.AsyncClient:
    return async_http_client(default_pipeline(), controls=controls)


def _with_key(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with a placeholder for a key, unless there is a credential; so none is read from the environment."""
    given = any(options.get(name) is not None for name in _CREDENTIALS)
    return dict(options) if given else {**options, "api_key": NO_KEY}


def __getattr__(name: str) -> Any:
    return getattr(vendor, name)
