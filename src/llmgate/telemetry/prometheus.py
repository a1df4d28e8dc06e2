"""Metrics for Prometheus to fetch, by its own client, which also adds up what the workers of one server count.

With several workers each writes into files of its own in the directory that ``PROMETHEUS_MULTIPROC_DIR`` names, and
whichever is asked reads them all; ``llmgate serve`` makes the directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from llmgate.spec import Record

from .measurements import INSTRUMENTS, Instrument, Measure

__all__ = ["DIRECTORY_VARIABLE", "PrometheusSink", "exposed_name"]

DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_UNITS: Final = {"s": "seconds"}


class PrometheusSink:
    """Counts what records say.

    Args:
        measure: Reads measurements off records.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._registry = CollectorRegistry()
        self._instruments: Mapping[str, Counter | Histogram] = {one.name: self._made(one) for one in INSTRUMENTS}

    def record(self, record: Record) -> None:
        """Take what a record says."""
        for one in self._measure.read(record):
            child = self._instruments[one.instrument.name].labels(*one.labels)
            if isinstance(child, Histogram):
                child.observe(one.value)
            else:
                child.inc(one.value)

    def exposition(self) -> bytes:
        """Everything counted so far, by all the workers, as Prometheus reads it."""
        if not os.environ.get(DIRECTORY_VARIABLE):
            return generate_latest(self._registry)
        gathered = CollectorRegistry()
        MultiProcessCollector(gathered)  # type: ignore[no-untyped-call]
        return generate_latest(gathered)

    def close(self) -> None:
        """Nothing is open."""

    def _made(self, one: Instrument) -> Counter | Histogram:
        labels = [label.replace(".", "_") for label in one.labels]
        name = exposed_name(one)
        if one.buckets:
            return Histogram(name, one.meaning, labels, registry=self._registry, buckets=one.buckets)
        return Counter(name, one.meaning, labels, registry=self._registry)


def exposed_name(one: Instrument) -> str:
    """An instrument's name as Prometheus writes it, by OpenTelemetry's rules for that."""
    unit = _UNITS.get(one.unit)
    return one.name.replace(".", "_") + (f"_{unit}" if unit else "")
