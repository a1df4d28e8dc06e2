"""The transport: a request in OpenAI's format becomes a call of litellm's in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from llmgate.codecs.jsons import dumps
from llmgate.spec import ProviderRequest, ProviderResponse, ProviderStream, ProviderTimeoutError, StageContext

from .calls import arguments_of
from .config import LiteLLMConfig
from .failures import answer_for, raised
from .stream import BridgeStream, as_json

__all__ = ["Bridge", "WholeStream"]

_BEARER: Final = "Bearer "
_NOT_PASSED_ON: Final = frozenset({"accept", "authorization", "content-type"})


class WholeStream:
    """An answer that is there already, where a stream was asked for: an error."""

    def __init__(self, response: ProviderResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self._body = response.body

    def __aiter__(self) -> WholeStream:
        """Its body, in one piece."""
        return self

    async def __anext__(self) -> bytes:
        """The body, once."""
        if not self._body:
            raise StopAsyncIteration
        return await self.read()

    async def read(self) -> bytes:
        """The body, once."""
        body, self._body = self._body, b""
        return body

    async def aclose(self) -> None:
        """There is nothing to close."""


class Bridge:
    """Calls litellm.

    Args:
        config: The keys of the provider.
        context: Where secrets are fetched.
        library: Gives litellm, once the adapter is open.
    """

    def __init__(self, config: LiteLLMConfig, context: StageContext, library: Callable[[], Any]) -> None:
        self._config = config
        self._context = context
        self._library = library

    async def send(self, request: ProviderRequest) -> ProviderResponse:
        """Call, and wait for the whole answer."""
        answer, _ = await self._call(request, stream=False)
        if isinstance(answer, ProviderResponse):
            return answer
        return ProviderResponse(200, {"content-type": "application/json"}, dumps(as_json(answer)))

    async def open_stream(self, request: ProviderRequest) -> ProviderStream:
        """Call, and return once the answer has begun."""
        answer, secrets = await self._call(request, stream=True)
        if isinstance(answer, ProviderResponse):
            return WholeStream(answer)
        if not hasattr(answer, "__aiter__"):
            return WholeStream(ProviderResponse(200, {"content-type": "application/json"}, dumps(as_json(answer))))
        return BridgeStream(answer, request.provider_name, request.timeouts.idle, self._config.chunks, secrets)

    async def aclose(self) -> None:
        """Nothing: connections are litellm's, and may serve others; the adapter closes what it has opened."""

    async def _call(self, request: ProviderRequest, *, stream: bool) -> tuple[Any, tuple[str, ...]]:
        """What litellm answers, an error as the answer that it stands for; and the secrets that it was given.

        Raises:
            ProviderTimeoutError: nothing came in time.
            ProviderConnectionError: the vendor was not reached.
            ProviderProtocolError: litellm itself has failed.
        """
        hidden: tuple[str, ...] = ()
        try:
            path = urlsplit(request.url).path
            arguments = arguments_of(path, request.body or b"", media_urls=self._config.media_urls)
            own = {
                name: (await self._context.fetch_secret(ref)).reveal()
                for name, ref in self._config.secret_options.items()
            }
            key = request.headers.get("authorization", "").removeprefix(_BEARER)
            hidden = tuple(value for value in (*own.values(), key) if value)
            library = self._library()
            call = library.aembedding if path.endswith("/embeddings") else library.acompletion
            if stream:
                arguments["stream"] = True
            everything = {**self._config.options, **arguments, **own, **self._ours(request, key)}
            async with asyncio.timeout(request.timeouts.first_byte):
                answer = await call(**everything)
            return answer, hidden
        except TimeoutError:
            name, bound = request.provider_name, request.timeouts.first_byte
            message = f"provider {name} did not answer within {bound:g} seconds"
            raise ProviderTimeoutError(message, provider_name=name) from None
        except Exception as failure:  # noqa: BLE001 - whatever litellm raises is somebody's failure
            error = raised(failure, request.provider_name)
            if error is not None:
                raise error from None
            return answer_for(failure, hidden), hidden

    def _ours(self, request: ProviderRequest, key: str) -> dict[str, Any]:
        """What is the gateway's to say: whom to ask, with which key, how long, once, and without telling others."""
        origin = urlsplit(request.origin)
        model = request.headers["x-llmgate-model"]
        vendor = self._config.vendor
        ours: dict[str, Any] = {
            "model": f"{vendor}/{model}" if vendor else model,
            "timeout": max(request.timeouts.first_byte, request.timeouts.idle),
            "max_retries": 0,
            "num_retries": 0,
            "no-log": True,
        }
        if key:
            ours["api_key"] = key
        if origin.scheme in {"http", "https"}:
            ours["api_base"] = request.url.removesuffix("/chat/completions").removesuffix("/embeddings")
        headers = {
            name: value
            for name, value in request.headers.items()
            if name not in _NOT_PASSED_ON and not name.startswith("x-llmgate-")
        }
        if headers:
            ours["extra_headers"] = headers
        return ours
