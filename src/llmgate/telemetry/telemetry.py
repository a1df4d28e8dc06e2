"""What becomes of records beside the loggers: spans, metrics, or nothing at all."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib.util
import logging
import os
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from llmgate.spec import ConfigError, Record, SecretRef

from .ids import Tracing
from .measurements import Measure
from .standing import MeasureStanding, Standing

if TYPE_CHECKING:
    from .headers import ExportHeaders, FetchSecret
    from .prometheus import PrometheusSink

__all__ = ["Sink", "Telemetry"]

log = logging.getLogger("llmgate.telemetry")

TELL_EVERY: Final = 5.0
"""Seconds after which a worker tells the others how it does, so that any of them can be asked."""
THREAD_CHARACTERS: Final = 64 * 1024
"""How long a content is read in the event loop."""
PATIENCE: Final = 2.0
"""Seconds that an export waits for the event loop to say how the gateway does."""


class Sink(Protocol):
    """Something that takes records and never waits for anybody."""

    def record(self, record: Record) -> None:
        """Take what a record says."""

    def close(self) -> None:
        """Send what is left; may wait."""


@attrs.define(eq=False)
class Telemetry:
    """Takes the record of each exchange that is over, behind a bounded queue as loggers do where contents are read.

    Args:
        exporter: ``stdout`` for nothing but the application log; ``otlp`` or ``both`` for a collector as well.
        otlp_endpoint: Its address; ``""`` for what OpenTelemetry's own variables say.
        service_name: What the gateway is called there.
        sampling: Which share of the traces that begin here is exported, from 0 to 1.
        propagate: Whether callers' traces go on here and at providers.
        prometheus: Whether metrics can be fetched.
        max_models: How many names of models become labels.
        content: Whether traces tell what was asked and answered, as far as records keep it.
        otlp_headers: What the collector is sent beside: texts, and references to secrets.

    Raises:
        ConfigError: a package is missing.
    """

    exporter: str
    otlp_endpoint: str
    service_name: str
    sampling: float
    propagate: bool
    prometheus: bool
    max_models: int
    content: bool = False
    otlp_headers: Mapping[str, str | SecretRef] = attrs.field(factory=dict)
    metrics: PrometheusSink | None = attrs.field(default=None, init=False)
    """What is asked for metrics once it is open; None for none."""
    _sinks: list[Sink] = attrs.field(factory=list, init=False)
    _headers: ExportHeaders | None = attrs.field(default=None, init=False)
    _ask: Callable[[], Coroutine[Any, Any, Standing]] | None = attrs.field(default=None, init=False)
    _loop: asyncio.AbstractEventLoop | None = attrs.field(default=None, init=False)
    _telling: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _open: bool = attrs.field(default=False, init=False)
    tracing: Tracing | None = attrs.field(default=None, init=False)
    """What gives exchanges their place in a trace; None where nobody wants to know."""

    def __attrs_post_init__(self) -> None:
        if self._exports:
            _expect("opentelemetry.exporter.otlp.proto.http", "exporter", "otel")
        if self.prometheus:
            _expect("prometheus_client", "prometheus", "prometheus")
        if self._exports or self.propagate:
            self.tracing = Tracing(sampling=self.sampling, carried=self.propagate)

    async def look(self, fetch: FetchSecret) -> None:
        """Ask for the secrets that the collector's headers are made of.

        Args:
            fetch: Gives the secret behind a reference.

        Raises:
            SecretNotFoundError: there is none behind one of them.
        """
        if not (self._exports and self.otlp_headers):
            return
        if self._headers is None:
            from .headers import ExportHeaders  # late: requests comes with the exporter

            self._headers = ExportHeaders(self.otlp_headers)
        await self._headers.look(fetch)

    def lead_to(self, fetch: FetchSecret) -> None:
        """Have these secrets asked for there from now on, in the event loop that runs."""
        if self._headers is not None:
            self._headers.lead_to(fetch)

    def open(self, standing: Callable[[], Coroutine[Any, Any, Standing]]) -> None:
        """Make ready what takes records; needs a running event loop; idempotent.

        Args:
            standing: Says how the gateway does; called in that loop when somebody collects.
        """
        if self._open:
            return
        self._open = True
        self._ask, self._loop = standing, asyncio.get_running_loop()
        measure = Measure(self.max_models)
        if self._exports:
            from .otlp import OtlpSink

            resource = {"service.name": self.service_name}
            exports = OtlpSink.to(self.otlp_endpoint, resource, measure, content=self.content, headers=self._headers)
            exports.observe(MeasureStanding(self.max_models), self._ask_from_thread)
            self._sinks.append(exports)
        if self.prometheus:
            from .prometheus import DIRECTORY_VARIABLE, PrometheusSink

            self.metrics = PrometheusSink(measure, MeasureStanding(self.max_models))
            self._sinks.append(self.metrics)
            if os.environ.get(DIRECTORY_VARIABLE):
                self._telling = self._loop.create_task(self._keep_telling(), name="llmgate-standing")

    async def collect(self) -> None:
        """Have ``metrics`` tell how the gateway does now."""
        if self.metrics is not None and self._ask is not None:
            self.metrics.stand(await self._ask())

    async def _keep_telling(self) -> None:
        while True:
            try:
                await self.collect()
            except Exception:
                log.exception("it cannot be told how the gateway does")
            await asyncio.sleep(TELL_EVERY)

    def _ask_from_thread(self) -> Standing | None:
        """How the gateway does, asked in its event loop; None where that does not answer in time."""
        if self._ask is None or self._loop is None or not self._loop.is_running():
            return None
        asked = asyncio.run_coroutine_threadsafe(self._ask(), self._loop)
        try:
            return asked.result(PATIENCE)
        except (TimeoutError, concurrent.futures.CancelledError):
            asked.cancel()
            return None

    @property
    def takes_at_once(self) -> bool:
        """Whether no record takes long enough to hold up others: none does whose content is not read."""
        return not self.content

    def take(self, record: Record) -> None:
        """Hand a record on, here and now."""
        for sink in self._sinks:
            sink.record(record)

    async def record(self, record: Record) -> None:
        """Hand a record on."""
        for sink in self._sinks:
            if self.content and _is_long(record):
                await asyncio.to_thread(sink.record, record)  # its content is read: others are not held up by that
            else:
                sink.record(record)

    async def flush(self) -> None:
        """Nothing waits here: what sends in batches sends them by itself."""

    async def aclose(self) -> None:
        """Send what is left; a collector that does not answer is waited for as long as its time-out says."""
        telling, self._telling = self._telling, None
        if telling is not None:
            telling.cancel()
            await asyncio.wait({telling})
            with contextlib.suppress(Exception):  # what was counted last; a journal that is closed may not say
                await self.collect()
        sinks, self._sinks = self._sinks, []
        for sink in sinks:
            try:
                await asyncio.to_thread(sink.close)
            except Exception:
                log.exception("telemetry cannot be closed")

    @property
    def _exports(self) -> bool:
        return self.exporter in {"otlp", "both"}


def _is_long(record: Record) -> bool:
    sides = () if record.content is None else (record.content.request, record.content.response)
    return sum(len(one.text or "") for one in sides if one is not None) > THREAD_CHARACTERS


def _expect(module: str, key: str, extra: str) -> None:
    """Refuse what a missing package would be needed for, before anything is opened."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ConfigError(f"telemetry.{key}: {module} is not installed: pip install 'llmgate[{extra}]'")
