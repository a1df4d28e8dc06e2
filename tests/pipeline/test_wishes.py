from __future__ import annotations

from collections.abc import Mapping

import pytest

from llmgate.pipeline.fallbacks import Fallback
from llmgate.pipeline.wishes import Wishes, wishes_of
from llmgate.spec import InvalidRequestError


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, None),
        ({"authorization": "Bearer x", "helicone-user-id": "u"}, None),
        ({"helicone-forced-routing": " openai "}, Wishes(provider="openai")),
        ({"helicone-forced-routing": ""}, Wishes()),
        ({"llmgate-failover": "false"}, Wishes(alone=True)),
        ({"llmgate-failover": "OFF"}, Wishes(alone=True)),
        ({"llmgate-failover": "true"}, Wishes()),
        ({"helicone-token-limit-exception-handler": "Middle-Out"}, Wishes(too_long="middle-out")),
        ({"helicone-fallbacks": '[{"model": "a/b"}]'}, Wishes(fallbacks=(Fallback("", "a/b"),))),
    ],
)
def test_what_headers_ask(headers: Mapping[str, str], wanted: Wishes | None) -> None:
    assert wishes_of(headers) == wanted


@pytest.mark.parametrize("text", ["", "maybe", "0.5", "x" * 1000])
def test_a_switch_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="llmgate-failover must be true or false") as caught:
        wishes_of({"llmgate-failover": text})
    assert caught.value.code == "invalid_routing_header"
    assert len(caught.value.message) < 200
