"""What becomes of records beside the loggers: spans, metrics, or nothing at all."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from typing import TYPE_CHECKING, Protocol

import attrs

from llmgate.spec import ConfigError, Record

from .ids import Tracing
from .measurements import Measure

if TYPE_CHECKING:
    from .prometheus import PrometheusSink

__all__ = ["Sink", "Telemetry"]

log = logging.getLogger("llmgate.telemetry")


class Sink(Protocol):
    """Something that takes records and never waits for anybody."""

    def record(self, record: Record) -> None:
        """Take what a record says."""

    def close(self) -> None:
        """Send what is left; may wait."""


@attrs.define(eq=False)
class Telemetry:
    """Takes the record of each exchange that is over, behind a bounded queue as loggers do.

    Args:
        exporter: ``stdout`` for nothing but the application log; ``otlp`` or ``both`` for a collector as well.
        otlp_endpoint: Its address; ``""`` for what OpenTelemetry's own variables say.
        service_name: What the gateway is called there.
        sampling: Which share of the traces that begin here is exported, from 0 to 1.
        propagate: Whether callers' traces go on here and at providers.
        prometheus: Whether metrics can be fetched.
        max_models: How many names of models become labels.

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
    metrics: PrometheusSink | None = attrs.field(default=None, init=False)
    """What is asked for metrics once it is open; None for none."""
    _sinks: list[Sink] = attrs.field(factory=list, init=False)
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

    def open(self) -> None:
        """Make ready what takes records; idempotent."""
        if self._open:
            return
        self._open = True
        if self._exports:
            from .otlp import OtlpSink

            resource = {"service.name": self.service_name}
            self._sinks.append(OtlpSink.to(self.otlp_endpoint, resource, Measure(self.max_models)))
        if self.prometheus:
            from .prometheus import PrometheusSink

            self.metrics = PrometheusSink(Measure(self.max_models))
            self._sinks.append(self.metrics)

    async def record(self, record: Record) -> None:
        """Hand a record on."""
        for sink in self._sinks:
            sink.record(record)

    async def flush(self) -> None:
        """Nothing waits here: what sends in batches sends them by itself."""

    async def aclose(self) -> None:
        """Send what is left; a collector that does not answer is waited for as long as its time-out says."""
        sinks, self._sinks = self._sinks, []
        for sink in sinks:
            try:
                await asyncio.to_thread(sink.close)
            except Exception:
                log.exception("telemetry cannot be closed")

    @property
    def _exports(self) -> bool:
        return self.exporter in {"otlp", "both"}


def _expect(module: str, key: str, extra: str) -> None:
    """Refuse what a missing package would be needed for, before anything is opened."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ConfigError(f"telemetry.{key}: {module} is not installed: pip install 'llmgate[{extra}]'")
