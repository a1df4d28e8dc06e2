"""HTTP clients without a socket, to be handed to a client library as its ``http_client``."""

from __future__ import annotations

from typing import Final, TypeVar

import httpx2

from llmgate.pipeline import Pipeline
from llmgate.pipeline.blocking import BlockingPipeline
from llmgate.spec import ControlsLike, Principal, control_headers

from .transports import AsyncPipelineTransport, BlockingPipelineTransport

__all__ = ["BASE_URL", "async_http_client", "http_client", "only"]

T = TypeVar("T")

BASE_URL: Final = "http://llmgate"
"""An address to put before a path; the name is never looked up, and any other serves as well."""


def async_http_client(
    pipeline: Pipeline | BlockingPipeline,
    *,
    principal: Principal | None = None,
    controls: ControlsLike | None = None,
) -> httpx2.AsyncClient:
    """A client for ``AsyncOpenAI(http_client=...)`` and its like, which sends everything into a pipeline.

    Closing it ends the answers that are still under way; the pipeline stays open.

    Args:
        pipeline: An open pipeline of the running event loop, or an open ``BlockingPipeline``, which serves any loop.
        principal: Who asks, whatever key is sent; None for what the key says, or a trusted local caller without one.
        controls: What holds for each request whose own headers do not say otherwise.

    Raises:
        ValueError: the controls name what is none.
        RuntimeError: there is no running event loop that a ``Pipeline`` could run on.
    """
    transport = AsyncPipelineTransport(pipeline, principal=principal)
    return httpx2.AsyncClient(transport=transport, base_url=BASE_URL, timeout=None, headers=_headers(controls))


def http_client(
    pipeline: BlockingPipeline | Pipeline,
    *,
    principal: Principal | None = None,
    controls: ControlsLike | None = None,
) -> httpx2.Client:
    """A client for ``OpenAI(http_client=...)`` and its like, which sends everything into a pipeline.

    It may be used from several threads at once. Closing it ends the answers that are still under way; the pipeline
    stays open.

    Args:
        pipeline: An open ``BlockingPipeline``; or an open pipeline of the running event loop, for the use of other
            threads.
        principal: Who asks, whatever key is sent; None for what the key says, or a trusted local caller without one.
        controls: What holds for each request whose own headers do not say otherwise.

    Raises:
        ValueError: the controls name what is none.
        RuntimeError: there is no running event loop that a ``Pipeline`` could run on.
    """
    transport = BlockingPipelineTransport(pipeline, principal=principal)
    return httpx2.Client(transport=transport, base_url=BASE_URL, timeout=None, headers=_headers(controls))


def only(given: T, controls: ControlsLike | None) -> T:
    """A client of the caller's own, which says itself what holds for its requests.

    Raises:
        TypeError: controls are given beside it.
    """
    if controls is not None:
        raise TypeError("give the controls to the http_client: http_client(pipeline, controls=...)")
    return given


def _headers(controls: ControlsLike | None) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in control_headers(controls).items()]
