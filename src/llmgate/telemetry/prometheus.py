"""Metrics for Prometheus to fetch, by its own client, which also adds up what the workers of one server count.

A process that is alone adds up by itself, since the client takes five times as long for it. With several workers each
writes into files of its own in the directory that ``PROMETHEUS_MULTIPROC_DIR`` names, and whichever is asked reads them
all; ``llmgate serve`` makes the directory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from llmgate.spec import Record

from .measurements import INSTRUMENTS, Instrument, Measure
from .standing import STANDING, MeasureStanding, Standing
from .totals import Labels, Spread, Totals

__all__ = ["DIRECTORY_VARIABLE", "PrometheusSink", "exposed_name"]

DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_UNITS: Final = {"s": "seconds", "By": "bytes"}
_MODES: Final[Mapping[str, Literal["livesum", "livemax"]]] = {"sum": "livesum", "max": "livemax"}
"""Only of workers that live: what waited in one that is dead waits in another, or in none."""


class PrometheusSink:
    """Counts what records say.

    Args:
        measure: Reads measurements off records.
        standing: Reads them off standings.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, measure: Measure, standing: MeasureStanding) -> None:
        self._measure = measure
        self._standing = standing
        self._said: dict[tuple[str, tuple[str, ...]], float] = {}
        self._registry = CollectorRegistry()
        self._totals: Totals | None = None if os.environ.get(DIRECTORY_VARIABLE) else Totals()
        """What is counted where nobody else counts; None where the client adds up what several do."""
        counted: Sequence[Instrument] = ()
        if self._totals is None:
            counted = INSTRUMENTS
        else:
            self._registry.register(_Counted(self._totals))
        self._instruments: Mapping[str, Counter | Gauge | Histogram] = {
            one.name: self._made(one) for one in (*counted, *STANDING)
        }

    def record(self, record: Record) -> None:
        """Take what a record says."""
        measurements = self._measure.read(record)
        if self._totals is not None:
            self._totals.add(measurements)
            return
        for one in measurements:
            child = self._instruments[one.instrument.name].labels(*one.labels)
            if isinstance(child, Histogram):
                child.observe(one.value)
            else:
                child.inc(one.value)

    def stand(self, standing: Standing) -> None:
        """Take how the gateway does now; what is not heard of any more is 0."""
        gone = set(self._said)
        for one in self._standing.read(standing):
            key = (one.instrument.name, tuple(one.labels))
            gone.discard(key)
            self._say(key, one.value)
        for key in gone:
            if isinstance(self._instruments[key[0]], Gauge):
                self._say(key, 0.0)

    def _say(self, key: tuple[str, tuple[str, ...]], value: float) -> None:
        name, labels = key
        child: Any = self._instruments[name].labels(*labels) if labels else self._instruments[name]
        if isinstance(child, Gauge):
            child.set(value)
        else:
            child.inc(value - self._said.get(key, 0.0))
        self._said[key] = value

    def exposition(self) -> bytes:
        """Everything counted so far, by all the workers, as Prometheus reads it."""
        if not os.environ.get(DIRECTORY_VARIABLE):
            return generate_latest(self._registry)
        _forget_the_dead(Path(os.environ[DIRECTORY_VARIABLE]))
        gathered = CollectorRegistry()
        MultiProcessCollector(gathered)  # type: ignore[no-untyped-call]
        return generate_latest(gathered)

    def close(self) -> None:
        """Nothing is open."""

    def _made(self, one: Instrument) -> Counter | Gauge | Histogram:
        labels, name = _label_names(one), exposed_name(one)
        if one.buckets:
            return Histogram(name, one.meaning, labels, registry=self._registry, buckets=one.buckets)
        if one.across:
            return Gauge(name, one.meaning, labels, registry=self._registry, multiprocess_mode=_MODES[one.across])
        return Counter(name, one.meaning, labels, registry=self._registry)


class _Counted(Collector):
    """Tells Prometheus's client what totals have counted.

    Args:
        totals: The totals.
    """

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """Every instrument, with what it stands at."""
        spreads = self._totals.spreads()
        for one in INSTRUMENTS:
            name, labels = exposed_name(one), _label_names(one)
            if one.buckets:
                yield _histogram(
                    HistogramMetricFamily(name, one.meaning, labels=labels), one, spreads.get(one.name, ())
                )
            else:
                counter = CounterMetricFamily(name, one.meaning, labels=labels)
                for values, value in self._totals.counted(one):
                    counter.add_metric(values, value)
                yield counter


def _histogram(
    told: HistogramMetricFamily, one: Instrument, spreads: Sequence[tuple[Labels, Spread]]
) -> HistogramMetricFamily:
    bounds: list[str] = [floatToGoString(bound) for bound in (*one.buckets, float("inf"))]  # type: ignore[no-untyped-call]
    for values, spread in spreads:
        told.add_metric(values, list(zip(bounds, accumulate(spread.counts), strict=True)), spread.total)
    return told


def _label_names(one: Instrument) -> Sequence[str]:
    return [label.replace(".", "_") for label in one.labels]


def _forget_the_dead(directory: Path) -> None:
    """Leave out the gauges of workers that are no more; what they have counted stays."""
    for number in {one.stem.rpartition("_")[2] for one in directory.glob("gauge_live*_*.db")}:
        if number.isdigit() and not _lives(int(number)):
            with contextlib.suppress(FileNotFoundError):  # another worker has been quicker
                mark_process_dead(int(number), str(directory))  # type: ignore[no-untyped-call]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def exposed_name(one: Instrument) -> str:
    """An instrument's name as Prometheus writes it, by OpenTelemetry's rules for that."""
    unit = _UNITS.get(one.unit)
    return one.name.replace(".", "_") + (f"_{unit}" if unit else "")
