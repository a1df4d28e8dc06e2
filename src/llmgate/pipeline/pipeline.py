"""The Pipeline: what an application holds, what the host serves. Read this first.

One request is one exchange: ``exchange()`` opens its frame (``frame.py``), the frame sends it through ``dispatch.py``
to the deployments, each try is an ``attempt.py``, and leaving the frame settles. ``complete`` and ``stream`` are thin
over that one door; the host uses the door itself.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

from llmgate.formats import get_format, read_request
from llmgate.spec import (
    ChatRequest,
    Clock,
    ControlsLike,
    Credentials,
    GatewayClosedError,
    GatewayRequest,
    Operation,
    Principal,
    StageContext,
    SystemClock,
    Transport,
    control_headers,
)

from .checkup import Checkup
from .completion import Completion, CompletionStream
from .credentials import SecretBroker
from .draining import Drains
from .frame import ExchangeFrame
from .health_watch import HealthWatch
from .holdings import Holdings
from .listed_prices import MOST_CHANGES, PriceChange, dated, log_changes
from .listing import ModelList, ask_for_models
from .mapping import keep_models
from .models import ModelEntry
from .operations import as_body, presented
from .reloading import Edition, Editions, Pin
from .repeating import Repeats
from .secret_report import SecretStatus, check_secrets
from .snapshot import Snapshot

if TYPE_CHECKING:
    from llmgate.telemetry.standing import Standing

    from .construction import ConfigSource, Source

__all__ = ["Pipeline"]

T = TypeVar("T")

IN_PROCESS_FORMAT = "openai-chat"
"""The wire format in which in-process callers write their keyword arguments."""


class Pipeline(Holdings):
    """A gateway in process. Make it with ``from_config`` and open it with ``async with``.

    Args:
        edition: Everything assembled from the configuration.
        context: What stages are opened with: time and chance, and HTTP out, which is closed with the pipeline.
        source: Where the configuration came from.
        lists: The models that providers have listed before.
    """

    def __init__(
        self,
        edition: Edition,
        *,
        context: StageContext,
        source: ConfigSource,
        lists: Mapping[str, ModelList] | None = None,
    ) -> None:
        self.clock: Clock = context.clock
        self.ready = False
        self._editions = Editions(edition, self.own, self.clock)
        self._context = context
        self._source = source
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lists: Mapping[str, ModelList] = lists or {}
        self._price_changes: deque[PriceChange] = deque(maxlen=MOST_CHANGES)
        self._listing: asyncio.Task[None] | None = None
        self._health_watch: HealthWatch | None = None
        self.drains = Drains()
        self.repeats = Repeats(self)

    @classmethod
    def from_config(
        cls,
        source: Source = None,
        *,
        environment: Mapping[str, str] | None = None,
        dotenv: Path | None = None,
        plugins: Sequence[object] = (),
        clock: Clock | None = None,
        transport: Transport | None = None,
        workers: int = 1,
    ) -> Pipeline:
        """Assemble a pipeline; nothing but the file is read and nothing is opened.

        Args:
            source: A YAML file, a mapping of the same shape, or None for what the environment alone says.
            environment: Environment variables; None for the process's own, read anew whenever a secret is fetched.
            dotenv: A ``.env`` file that fills gaps in the environment; None for none.
            plugins: Modules or objects with hook implementations, beside those that are installed.
            clock: Time and chance; None for the real ones.
            transport: HTTP out; None for the built-in one.
            workers: How many processes serve this configuration at once, for stages that share limits between them.

        Raises:
            ConfigError: the configuration is wrong; ``problems`` lists everything that is.
            PluginError: a plugin that the configuration names cannot be used.
        """
        # Late: reading a configuration takes ruamel, cattrs and aiohttp, which `import llmgate` must not pay for.
        from .construction import construct

        return construct(
            cls,
            source,
            environment=os.environ if environment is None else environment,
            dotenv=dotenv,
            plugins=plugins,
            clock=clock or SystemClock(),
            transport=transport,
            workers=workers,
        )

    @property
    def config(self) -> Any:
        """The configuration in force, an ``llmgate.config.model.GatewayConfig``."""
        return self._editions.current.snapshot.config

    @property
    def snapshot(self) -> Snapshot:
        """The stages and routes in force; a reload puts others in their place."""
        return self._editions.current.snapshot

    @property
    def secrets(self) -> SecretBroker:
        """The secret stores in force."""
        return self._editions.current.secrets

    async def check_secrets(self) -> Sequence[SecretStatus]:
        """Look at every secret reference of the configuration; for a pipeline that is not open, and stays so."""
        if self._editions.is_open:
            raise RuntimeError("the pipeline is open already: check the secrets of another one")
        try:
            return await check_secrets(self.snapshot, self.secrets)
        finally:
            await self._context.transport.aclose()

    def pin(self) -> Pin:
        """Hold on to what is in force now: none of it is closed before the pin is released."""
        return Pin(self._editions.current)

    async def open(self) -> None:
        """Open every stage in order; one that fails closes those before it.

        Raises:
            PluginError: a stage cannot be opened.
        """
        if self._editions.is_open:
            raise RuntimeError("the pipeline is open already")
        try:
            await self._editions.open()
        except BaseException:
            await self._context.transport.aclose()
            raise
        self.ready = True
        self._renew_listing()
        await self._renew_health_watch()

    async def reload(
        self, source: Source = None, *, approve: Callable[[Snapshot], Awaitable[None]] | None = None
    ) -> None:
        """Read the configuration again and serve new exchanges by it; when anything is wrong with it, nothing changes.

        Exchanges that have begun go on with the configuration that they began with. Stages and providers that both
        configurations describe alike are kept with all that they know (connections, latencies, counts, waiting
        records); new stages are opened first, and those that are no longer wanted are closed once nobody uses them.

        Args:
            source: What to read from now on; None for what was read before.
            approve: Called with the new snapshot when its stages are open; what it raises refuses it.

        Raises:
            ConfigError: the configuration is wrong; ``problems`` lists everything that is.
            PluginError: a plugin cannot be used, or a stage cannot be opened.
            GatewayClosedError: the pipeline is not open.
        """
        async with self._turn:
            if not self.ready:
                raise GatewayClosedError("the pipeline is not open: there is nothing to reload")
            # In a thread, because a large file takes long enough to be felt in every stream.
            read, config = await asyncio.to_thread(self._source.read_again, source)
            edition = read.assemble(config, self._context, self.snapshot, self._lists)
            await self._editions.replace(edition, approve)
            self._source = read
            self._renew_listing()
            await self._renew_health_watch()

    async def aclose(self) -> None:
        """Let running settlements end, hand every record over, close every stage in reverse. Idempotent."""
        self.ready = False
        if self._listing is not None:
            self._listing.cancel()
            await asyncio.wait([self._listing])
        watch, self._health_watch = self._health_watch, None
        if watch is not None:
            await watch.aclose()
        await self.repeats.finish(self.config.stream.drain_timeout)
        async with self._turn:
            while self._tasks:
                await asyncio.wait(set(self._tasks))
            if self._editions.is_open:
                try:
                    await self._editions.aclose()
                finally:
                    await self._context.transport.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def exchange(
        self,
        *,
        operation: Operation = Operation.CHAT,
        credentials: Credentials | None = None,
        principal: Principal | None = None,
        surface: str = "in-process",
        client_address: str = "",
        client_request_id: str | None = None,
        controls: ControlsLike | None = None,
    ) -> ExchangeFrame:
        """The one door: ``async with pipeline.exchange(...) as x`` authenticates, ``x.send(request)`` answers.

        Args:
            operation: What is asked for.
            credentials: What the caller presented, to be judged by the auth providers.
            principal: Who asks, where the application knows; with neither, a trusted local caller.
            surface: Which door it came through.
            client_address: The peer's address.
            client_request_id: The caller's own request id.
            controls: What a caller in process says in the place of headers.

        Raises:
            ValueError: the controls name what is none.
            TypeError: they hold what no header can say.
        """
        return ExchangeFrame(
            self,
            operation=operation,
            credentials=credentials,
            principal=principal,
            surface=surface,
            client_address=client_address,
            client_request_id=client_request_id,
            controls=control_headers(controls),
        )

    async def complete(
        self,
        request: ChatRequest | None = None,
        /,
        *,
        router: str | None = None,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
        max_retries: int | None = None,
        credentials: Credentials | None = None,
        api_key: str | None = None,
        principal: Principal | None = None,
        controls: ControlsLike | None = None,
        **fields: Any,
    ) -> Completion:
        """Ask for a whole chat answer.

        Args:
            request: A canonical request; None when OpenAI's own keyword arguments are given instead.
            router: The router to use; None for the unified API.
            timeout: Seconds to wait in all; None for the configured total.
            metadata: Labels for the record, not sent upstream; OpenAI's field of that name goes by ``extra_body``.
            max_retries: Repeats; None for the configured number.
            credentials: What the caller presents, to be judged by the auth providers.
            api_key: The same, as one bearer token.
            principal: Who asks, where the application knows.
            controls: What else is wanted of routing, retries, cache, limits and records: what HTTP callers say in
                headers.
            **fields: ``model=``, ``messages=`` and whatever else OpenAI's chat completions take; ``extra_body=`` is a
                mapping of fields that are sent as they are.

        Raises:
            GatewayError: why there is no answer.
        """
        frame = self.exchange(credentials=presented(credentials, api_key), principal=principal, controls=controls)
        async with frame:
            chat = self._request(request, fields, router, timeout, metadata, max_retries, stream=False)
            response = await frame.send(chat)
        return Completion(response, frame.exchange)

    def stream(
        self,
        request: ChatRequest | None = None,
        /,
        *,
        router: str | None = None,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
        max_retries: int | None = None,
        credentials: Credentials | None = None,
        api_key: str | None = None,
        principal: Principal | None = None,
        controls: ControlsLike | None = None,
        **fields: Any,
    ) -> CompletionStream:
        """Ask for a streamed chat answer: ``async with pipeline.stream(...) as chunks``.

        The arguments are those of ``complete``. Entering the block waits for the first content; until then failover is
        free, and a failure is raised there.
        """
        return CompletionStream(
            lambda: self.exchange(credentials=presented(credentials, api_key), principal=principal, controls=controls),
            lambda: self._request(request, fields, router, timeout, metadata, max_retries, stream=True),
        )

    async def models(
        self,
        *,
        router: str | None = None,
        credentials: Credentials | None = None,
        api_key: str | None = None,
        principal: Principal | None = None,
    ) -> Sequence[ModelEntry]:
        """The models that the caller may ask for.

        Args:
            router: The router whose models are wanted, None for the unified API.
            credentials: What the caller presents.
            api_key: The same, as one bearer token.
            principal: Who asks, where the application knows.
        """
        frame = self.exchange(
            operation=Operation.MODELS, credentials=presented(credentials, api_key), principal=principal
        )
        async with frame:
            return await frame.models(router)

    async def health(
        self,
        *,
        credentials: Credentials | None = None,
        api_key: str | None = None,
        principal: Principal | None = None,
    ) -> Sequence[Checkup]:
        """The health of every deployment that has been asked, as far as the caller may ask it.

        Args:
            credentials: What the caller presented.
            api_key: The same, as one bearer token.
            principal: Who asks, where the application knows.
        """
        frame = self.exchange(
            operation=Operation.MODELS, credentials=presented(credentials, api_key), principal=principal
        )
        async with frame:
            return await frame.health()

    async def standing(self) -> Standing:
        """Whose breaker is open, and how far records are on their way to loggers; of this process."""
        return await self._editions.standing()

    @property
    def model_lists(self) -> Mapping[str, ModelList]:
        """What providers have said they have, by the provider's name, with source and date."""
        return self._lists

    async def sync_models(self) -> tuple[Mapping[str, ModelList], Mapping[str, str]]:
        """Ask every provider for the list of its models, and serve new exchanges by what they say.

        A provider that gives no list keeps the one that it gave before.

        Returns:
            All lists by the provider's name, and for each provider that gave none now, why.

        Raises:
            GatewayClosedError: the pipeline is not open.
        """
        if not self.ready:
            raise GatewayClosedError("the pipeline is not open: nobody can be asked")
        pin = self.pin()
        try:
            found, failed = await ask_for_models(self.snapshot, self.secrets, self.clock.now())
        finally:
            pin.release()
        async with self._turn:
            if not self.ready:
                raise GatewayClosedError("the pipeline was closed meanwhile")
            before = {name: (one.models, one.prices) for name, one in self._lists.items()}
            # In a thread, because prices are found among thousands, by name.
            found, changes = await asyncio.to_thread(self._with_prices, found)
            self._lists = {**self._lists, **found}
            if {name: (one.models, one.prices) for name, one in self._lists.items()} != before:
                edition = self._source.assemble(self.config, self._context, self.snapshot, self._lists)
                await self._editions.replace(edition, None)
        self._price_changes.extend(changes)
        log_changes(changes)
        return self._lists, failed

    @property
    def price_changes(self) -> Sequence[PriceChange]:
        """What has been seen to change in the prices that providers publish, the newest last; a bounded number."""
        return tuple(self._price_changes)

    def _with_prices(self, found: Mapping[str, ModelList]) -> tuple[Mapping[str, ModelList], Sequence[PriceChange]]:
        at, changes, lists = self.clock.now(), [], {}
        for name, now in found.items():
            lists[name], changed = dated(self.snapshot.providers[name], self._lists.get(name), now, at)
            changes += changed
        return lists, changes

    def validate_router(self, router: Mapping[str, Any]) -> Sequence[str]:
        """What is wrong with the configuration of a router, as it would stand under ``routers``; nothing when empty."""
        problems: Sequence[str] = self._source.problems_of_router(router)
        return problems

    def own(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run work that must end even if its caller does not stay; ``aclose`` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _renew_health_watch(self) -> None:
        """Begin to watch the health of the deployments of the edition in force."""
        if self._health_watch is not None:
            if self._health_watch.fits(self.snapshot):
                return
            await self._health_watch.aclose()
        self._health_watch = HealthWatch(self)
        self._health_watch.start()

    def _renew_listing(self) -> None:
        """Begin to look at the providers' lists as the configuration in force says."""
        if self._listing is not None:
            self._listing.cancel()
        settings = self.config.model_lists
        if settings.refresh > 0 or settings.map_every > 0:
            self._listing = asyncio.get_running_loop().create_task(keep_models(self), name="llmgate-models")

    def _request(
        self,
        request: ChatRequest | None,
        fields: Mapping[str, Any],
        router: str | None,
        timeout: float | None,
        metadata: Mapping[str, str] | None,
        max_retries: int | None,
        *,
        stream: bool,
    ) -> GatewayRequest:
        wire_format = get_format(IN_PROCESS_FORMAT)
        if request is None:
            body = _body_of(fields, stream=stream)
        elif fields:
            raise TypeError(f"give either a ChatRequest or keyword arguments, not both: {', '.join(fields)}")
        else:
            body = wire_format.encode_request(attrs.evolve(request, stream=stream))
        return read_request(
            wire_format,
            body,
            router=router,
            metadata=metadata,
            deadline=None if timeout is None else self.clock.monotonic() + timeout,
            max_retries=max_retries,
        )


def _body_of(fields: Mapping[str, Any], *, stream: bool) -> bytes:
    if "model" not in fields or "messages" not in fields:
        raise TypeError("a chat needs model= and messages=")
    if fields.get("stream", stream) is not stream:
        raise TypeError("use pipeline.stream(...) for a stream and pipeline.complete(...) for a whole answer")
    return as_body({**fields, "stream": True} if stream else fields)
