"""The way from a client library into a pipeline: the host's own application, and the loop on which it runs."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

import attrs

from llmgate.config.model import ServerConfig
from llmgate.host import create_app
from llmgate.host.calls import PRINCIPAL_KEY
from llmgate.host.credentials import PLACES
from llmgate.pipeline import Pipeline
from llmgate.pipeline.blocking import BlockingPipeline
from llmgate.spec import GatewayClosedError, Principal

from .conversation import Conversation, Message

__all__ = ["NO_KEY", "Door", "PipelineClosedError"]

NO_KEY: Final = "llmgate-in-process"
"""Stands where a client library insists on a key and the caller has none; it is taken out before anybody sees it."""

T = TypeVar("T")


class PipelineClosedError(Exception):
    """The pipeline is closed, was closed meanwhile, or runs on an event loop that is gone."""


class Door:
    """Where requests enter a pipeline.

    Args:
        pipeline: The pipeline; a blocking one brings its own loop, any other runs where this is made.
        principal: Who asks, whatever key is sent; None for what the key says, or a trusted local caller without one.
    """

    def __init__(self, pipeline: Pipeline | BlockingPipeline, principal: Principal | None) -> None:
        self._owner = pipeline if isinstance(pipeline, BlockingPipeline) else None
        self._pipeline = pipeline.pipeline if isinstance(pipeline, BlockingPipeline) else pipeline
        self._own_loop = None if self._owner is not None else asyncio.get_running_loop()
        self._principal = principal
        self._conversations: set[Conversation] = set()
        config = self._pipeline.config
        self.most_bytes: int = config.server.max_body_bytes
        """How large a request body may be."""
        self._app = create_app(
            self._pipeline, owns_pipeline=False, server=_settings(config.server, config.timeouts.total)
        )

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The pipeline's event loop.

        Raises:
            PipelineClosedError: it has none, because it is not open.
        """
        if self._own_loop is not None:
            return self._own_loop
        assert self._owner is not None, "one of the two is given"
        loop = self._owner.loop
        if loop is None:
            raise PipelineClosedError("the pipeline is not open: the client must be used before it is closed")
        return loop

    async def ask(self, scope: Message, body: bytes, timeout: float | None) -> Conversation:
        """Begin a conversation; returns once the head of its answer has come. Runs on the pipeline's loop.

        Args:
            scope: The ASGI scope, whose headers are the client's.
            body: The request's body.
            timeout: Seconds to wait for the head; None for as long as it takes.
        """
        self._identify(scope)
        conversation = Conversation(self._app, scope, body)
        self._conversations.add(conversation)
        if self._owner is not None:
            self._owner.adopt(conversation.work)
        try:
            await conversation.begun(timeout)
        except BaseException:
            await self.leave(conversation)
            raise
        return conversation

    async def leave(self, *conversations: Conversation) -> None:
        """End conversations, all of them where none is named. Idempotent. Runs on the pipeline's loop."""
        for conversation in conversations or tuple(self._conversations):
            try:
                await conversation.leave()
            finally:
                self._conversations.discard(conversation)

    def leave_blocking(self, *conversations: Conversation) -> None:
        """End conversations, all of them where none is named; on the pipeline's own thread without waiting for it."""
        if _running_loop() is not self.loop:
            self.run_blocking(self.leave(*conversations))
            return
        for conversation in conversations or tuple(self._conversations):
            conversation.depart()
            self._conversations.discard(conversation)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work on the pipeline's loop from any loop.

        Raises:
            PipelineClosedError: there is no such loop, or it ended meanwhile.
        """
        loop = self._take_loop(work)
        if asyncio.get_running_loop() is loop:
            return await work
        future = self._submit(work, loop)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise _closed_meanwhile() from None

    def run_blocking(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work on the pipeline's loop from a thread without one, and wait for it.

        Raises:
            PipelineClosedError: there is no such loop, or it ended meanwhile.
            RuntimeError: the thread is the loop's own, which would wait for itself.
        """
        loop = self._take_loop(work)
        if _running_loop() is loop:
            work.close()
            raise RuntimeError(
                "a blocking client would stop the event loop that its pipeline runs on: use the async client here"
            )
        future = self._submit(work, loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise _closed_meanwhile() from None
        except BaseException:
            future.cancel()  # a KeyboardInterrupt here must not leave the work running there
            raise

    def _take_loop(self, work: Coroutine[Any, Any, Any]) -> asyncio.AbstractEventLoop:
        try:
            return self.loop
        except PipelineClosedError:
            work.close()
            raise

    def _submit(self, work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> concurrent.futures.Future[T]:
        try:
            if self._owner is not None:
                return self._owner.submit(work)
            return asyncio.run_coroutine_threadsafe(work, loop)
        except (GatewayClosedError, RuntimeError):  # the loop is closed, or about to be
            work.close()
            raise _closed_meanwhile() from None

    def _identify(self, scope: Message) -> None:
        """Say who asks: the given principal, else whoever the key names, else a trusted local caller."""
        scope["headers"] = headers = [one for one in scope["headers"] if not _is_placeholder(*one)]
        if self._principal is not None:
            scope[PRINCIPAL_KEY] = self._principal
        elif not (self._pipeline.snapshot.auth and _presents_key(headers)):
            scope[PRINCIPAL_KEY] = Principal.local()


def _settings(server: ServerConfig, total: float) -> ServerConfig:
    """The host's settings for callers in process: no access log, and a reader may pause while its request may last."""
    return attrs.evolve(server, access_log=False, send_timeout=max(server.send_timeout, total))


def _presents_key(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a request carries anything to be judged, be it nothing that an auth provider knows."""
    return any(name.decode("latin-1") in PLACES for name, _ in headers)


def _is_placeholder(name: bytes, value: bytes) -> bool:
    return value.split()[-1:] == [NO_KEY.encode()] and name.decode("latin-1") in PLACES


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _closed_meanwhile() -> PipelineClosedError:
    return PipelineClosedError("the pipeline was closed before the answer was whole")
