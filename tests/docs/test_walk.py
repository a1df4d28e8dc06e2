"""The walk of a request is the one that the documentation tells: these six files, entered in this order."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from docs.asgi import ask
from llmgate.host import create_app
from llmgate.pipeline import Pipeline
from llmgate.testing.upstream import FakeUpstream

ROOT = Path(__file__).parents[2]
A_LOOK = {value.fget.__code__ for value in vars(Pipeline).values() if isinstance(value, property) and value.fget}
"""Reading a property enters nothing."""

PAGE = (ROOT / "docs" / "explanation" / "request_walk.md").read_text(encoding="utf-8")
WALK = re.findall(r"(?m)^\d\. `(src/llmgate/[\w/]+\.py)`", PAGE)


def test_the_page_names_six_files_that_exist():
    assert len(WALK) == 6
    assert [name for name in re.findall(r"`(src/llmgate/[\w/]+\.py)`", PAGE) if not (ROOT / name).is_file()] == []


async def test_a_request_enters_them_in_that_order():
    entered: list[str] = []
    files = {str(ROOT / name): name for name in WALK}

    def note(frame, event, argument):
        name = files.get(frame.f_code.co_filename)
        if event == "call" and name is not None and name not in entered and frame.f_code not in A_LOOK:
            entered.append(name)

    async with FakeUpstream() as upstream:
        settings = {"providers": {"openai": {"base-url": upstream.base_url}}}
        pipeline = Pipeline.from_config(settings, environment={"OPENAI_API_KEY": "k"})
        app = create_app(pipeline, owns_pipeline=False)
        body = json.dumps({"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}).encode()
        async with pipeline:
            before = sys.getprofile()
            sys.setprofile(note)
            try:
                sent = await ask(app, body)
            finally:
                sys.setprofile(before)
    assert sent[0]["status"] == 200
    assert entered == WALK
