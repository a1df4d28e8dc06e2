"""The kit tells loggers that lose, repeat or mix up records from those that do not."""

from __future__ import annotations

import pytest

from llmgate.spec import Logger, NoConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance.loggers import LoggerConformance

ALL = [
    "test_every_ending_is_recorded",
    "test_closing_writes_what_is_waiting",
    "test_a_thousand_records",
    "test_a_flush_may_come_at_any_time",
    "test_no_value_forges_a_record",
    "test_long_values_do_no_harm",
]


class Sound(Logger[NoConfig]):
    name = "sound"
    output: list = []

    def __init__(self, config):
        super().__init__(config)
        self.waiting = []

    async def record(self, record):
        self.waiting.append(ascii((record.id, record.request_model)))

    async def flush(self):
        while self.waiting:
            self.output.append(self.waiting.pop(0))

    async def aclose(self):
        await self.flush()


class Loses(Sound):
    async def aclose(self):
        self.waiting.clear()


class Repeats(Sound):
    async def flush(self):
        self.output.extend(self.waiting)


class Forged(Sound):
    async def record(self, record):
        self.waiting.extend(f"{record.id} {record.request_model}".splitlines())


class Shuffles(Sound):
    async def flush(self):
        self.waiting.sort(reverse=True)
        await super().flush()


class Trips(Sound):
    async def record(self, record):
        self.waiting.append(f"{record.id} {record.usage.input_tokens}")


def kit(stage_class):
    output = []
    subject = type(stage_class.__name__, (stage_class,), {"output": output})
    return type("Kit", (LoggerConformance,), {"stage_class": subject, "written": lambda self, context: output})()


async def run(stage_class, test, tmp_path):
    subject = kit(stage_class)
    await getattr(subject, test)(subject.make_context(tmp_path, FakeClock()))


@pytest.mark.parametrize("test", ALL)
async def test_a_sound_logger_passes(test, tmp_path):
    await run(Sound, test, tmp_path)


@pytest.mark.parametrize(
    ("stage_class", "test"),
    [
        (Loses, "test_closing_writes_what_is_waiting"),
        (Repeats, "test_a_flush_may_come_at_any_time"),
        (Forged, "test_no_value_forges_a_record"),
        (Shuffles, "test_a_thousand_records"),
    ],
)
async def test_a_fault_is_found(stage_class, test, tmp_path):
    with pytest.raises(AssertionError):
        await run(stage_class, test, tmp_path)


async def test_a_logger_that_trips_over_what_is_unknown_is_found(tmp_path):
    with pytest.raises(AttributeError):
        await run(Trips, "test_every_ending_is_recorded", tmp_path)


def test_a_kit_that_is_not_told_where_the_records_are_says_so():
    with pytest.raises(NotImplementedError, match="tell the kit where"):
        LoggerConformance().written(None)
