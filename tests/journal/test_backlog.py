"""What waits for a logger in a journal: counted in records and bytes, and how old it is."""

from __future__ import annotations

import attrs
import pytest

from journal.conftest import Sink, until
from llmgate.testing.samples import sample_record

pytestmark = pytest.mark.usefixtures("quick")


async def test_nothing_waits_for_a_logger_that_takes_all(tmp_path, journal_at) -> None:
    journal = journal_at(tmp_path / "journal")
    await journal.open()
    sink = Sink()
    courier = journal.courier("loggers[0]", "sink", sink)
    courier.start()
    sink.down = True
    journal.write(attrs.evolve(sample_record(), started_at=1000.0, duration=1.0))
    await until(lambda: courier.failed >= 1)
    records, size, ended = await courier.depth()
    assert (records, ended) == (1, 1001.0)
    assert size > 0
    sink.down = False
    await until(lambda: courier.backlog == 0)
    assert await courier.depth() == (0, 0, None)
    await courier.aclose()
    await journal.aclose()
