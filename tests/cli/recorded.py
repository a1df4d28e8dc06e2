"""A place with a configuration whose records are in a file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import attrs

from llmgate.spec import Record, StageTrace
from llmgate.stages.loggers.json_lines import line_of
from llmgate.testing.samples import sample_record


def place(here: Path, *records: Record, **sections: Any) -> None:
    """Write the configuration and the records."""
    config = {"providers": {"echo": {}}, "loggers": [{"use": "json-lines", "path": "records.jsonl"}], **sections}
    (here / "llmgate.yaml").write_text(json.dumps(config))
    if records:
        (here / "records.jsonl").write_bytes(b"".join(line_of(one) for one in records))


def some(count: int = 6) -> list[Record]:
    """Records of the last minutes, the youngest last."""
    now = time.time()
    sample = sample_record(stages=[StageTrace("auth", "passed", 12)], cost_nano=1_500_000, properties={"env": "prod"})
    models = ("gpt-4o", "claude")
    return [
        attrs.evolve(
            sample,
            id=f"{number:04x}-record",
            started_at=now - 60.0 * (count - number),
            user=f"=user{number % 2}",
            attempts=[attrs.evolve(sample.attempts[0], model=models[number % 2])],
        )
        for number in range(count)
    ]
