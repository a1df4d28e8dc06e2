"""The dashboard in Chromium, light and dark, wide and narrow: axe finds nothing, and the keyboard is enough."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import llmgate_dashboard

from end_to_end.loopback import loopback
from llmgate.spec import Record
from llmgate.testing.samples import sample_record

HERE = Path(__file__).parent
MODULES = Path(os.environ["LLMGATE_DASHBOARD_MODULES"])
CHROMIUM = os.environ.get("LLMGATE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = os.environ.get("LLMGATE_DASHBOARD_PICTURES", "")
KEY = "key-of-boss-012345678901234567890123456789"


def records(now: float) -> list[Record]:
    """Three days with good and bad requests, and names that want to be markup."""
    found = []
    for number in range(200):
        bad = number % 9 == 0
        fields = {"outcome": "error", "status": 502, "error_code": "x", "error_message": "<b>no</b>"} if bad else {}
        model = ("gpt-4o", "claude-sonnet-4-5", "<script>alert(1)</script>")[number % 3]
        cost = None if number % 50 == 1 else 1_000_000 * number
        found.append(
            sample_record(
                started_at=now - number * 1300,
                request_model=model,
                cost_nano=cost,
                duration=0.1 * (number % 30 + 1),
                **fields,
            )
        )
    return found[::-1]


async def test_a_browser_finds_nothing_wrong(tmp_path):
    assert CHROMIUM, "install Chromium, or name it in LLMGATE_CHROMIUM"
    file = tmp_path / "records.jsonl"
    settings = {
        "providers": {"echo": {}},
        "auth": [{"use": "static-keys", "keys": [{"name": "boss", "secret": "env:BOSS", "scopes": ["usage"]}]}],
        "loggers": [{"use": "json-lines", "path": str(file)}],
        "pages": ["dashboard"],
    }
    async with loopback(settings, plugins=[llmgate_dashboard], environment={"BOSS": KEY}) as one:
        kept = records(one.pipeline.clock.now())
        file.write_text("".join(f"{json.dumps(record.as_json())}\n" for record in kept))
        address = f"http://127.0.0.1:{one.port}/dashboard"
        node = await asyncio.create_subprocess_exec(
            "node", str(HERE / "look.mjs"), address, KEY, kept[0].id, CHROMIUM, str(MODULES), PICTURES,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await node.communicate()
    said = [json.loads(line) for line in output.decode().splitlines()]
    assert node.returncode == 0
    assert said == [{"looked": 24}]
