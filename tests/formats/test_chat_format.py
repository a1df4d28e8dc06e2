from __future__ import annotations

import pytest

from llmgate.formats import FORMATS, get_format
from llmgate.formats.chat_format import ChatFormat
from llmgate.spec import Operation

TRANSLATED = [name for name in FORMATS if isinstance(get_format(name), ChatFormat)]


def test_every_format_of_conversations_shows_this_face():
    assert [name for name in FORMATS if get_format(name).operation is Operation.CHAT] == TRANSLATED


@pytest.mark.parametrize("name", TRANSLATED)
def test_each_step_is_done_by_the_module_that_is_named_for_it(name):
    wire_format = get_format(name)
    package = type(wire_format).__module__
    for step in ("requests", "responses", "errors", "fitting"):
        assert getattr(wire_format, step).__name__ == f"{package}.{step}"
    assert wire_format.fields == wire_format.fitting.FIELDS
