from __future__ import annotations

from collections.abc import Mapping

import pytest

from llmgate.config.model import RetryConfig
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
        ({"llmgate-failover": "no"}, Wishes(alone=True)),
        ({"llmgate-failover": "Yes"}, Wishes()),
        ({"helicone-token-limit-exception-handler": "Middle-Out"}, Wishes(too_long="middle-out")),
        ({"helicone-retry-enabled": "true"}, Wishes(retries=RetryConfig(5, 1.0, 10.0, 2.0))),
        ({"helicone-retry-enabled": "false", "helicone-retry-num": "x"}, Wishes(retries=RetryConfig(max_retries=0))),
        ({"helicone-retry-num": "3"}, None),
        (
            {
                "helicone-retry-enabled": "true",
                "helicone-retry-num": "3",
                "helicone-retry-factor": "1.5",
                "helicone-retry-min-timeout": "9000",
                "helicone-retry-max-timeout": "500",
            },
            Wishes(retries=RetryConfig(3, 0.5, 0.5, 1.5)),
        ),
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


@pytest.mark.parametrize(
    ("name", "text"),
    [("num", "21"), ("num", "-1"), ("num", "many"), ("factor", "nan"), ("min-timeout", "inf"), ("max-timeout", "1e9")],
)
def test_retries_that_make_no_sense_are_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"helicone-retry-{name} must be a number") as caught:
        wishes_of({"helicone-retry-enabled": "true", f"helicone-retry-{name}": text})
    assert caught.value.code == "invalid_routing_header"


@pytest.mark.parametrize(
    ("name", "text"), [("helicone-forced-routing", "openai"), ("llmgate-failover", "false")], ids=["forced", "alone"]
)
def test_a_list_beside_what_forbids_all_but_one_place_is_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"{name} forbids all but one place") as caught:
        wishes_of({"helicone-fallbacks": '[{"model": "a/b"}]', name: text})
    assert caught.value.code == "invalid_routing_header"
