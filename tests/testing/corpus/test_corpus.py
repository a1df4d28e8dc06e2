from __future__ import annotations

import pytest

from llmgate.formats import get_format
from llmgate.testing.corpus import chat_corpus


def test_there_is_a_corpus_and_it_cannot_be_changed():
    assert {"text", "full", "tools", "media"} < chat_corpus().keys()
    with pytest.raises(TypeError):
        chat_corpus()["text"] = b""


@pytest.mark.parametrize("name", chat_corpus())
def test_each_is_a_request(name):
    chat = get_format("openai-chat").decode_request(chat_corpus()[name])
    assert chat.messages
