"""Controls of callers in process become the headers that say the same."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from llmgate.spec import Controls, control_headers


def test_nothing_said_is_no_header():
    assert Controls().headers() == {}
    assert control_headers(None) == {}


def test_each_field_has_its_header():
    controls = Controls(
        provider="openai",
        fallbacks=[{"model": "a/b", "onCodes": [500]}],
        failover=False,
        tags=("region:eu", "tier:gold"),
        too_long="middle-out",
        retries=3,
        retry_factor=1.5,
        retry_min_wait=0.25,
        retry_max_wait=8,
        cache=True,
        cache_read=False,
        cache_save=True,
        cache_buckets=3,
        cache_seed="s",
        cache_ignore_keys=["user"],
        cache_control="max-age=60",
        rate_limit_policy="5;w=60",
        stream_cost=True,
        omit_request=True,
        omit_response=False,
        user="ann",
        session_id="1",
        session_path="/a/b",
        session_name="n",
        prompt_id="p",
        properties={"Team": "blue"},
        others={"Llmgate-Own": "x"},
    )
    found = controls.headers()
    assert json.loads(found.pop("helicone-fallbacks")) == [{"model": "a/b", "onCodes": [500]}]
    assert found == {
        "helicone-forced-routing": "openai",
        "llmgate-failover": "false",
        "llmgate-tags": "region:eu, tier:gold",
        "helicone-token-limit-exception-handler": "middle-out",
        "helicone-retry-enabled": "true",
        "helicone-retry-num": "3",
        "helicone-retry-factor": "1.5",
        "helicone-retry-min-timeout": "250",
        "helicone-retry-max-timeout": "8000",
        "helicone-cache-enabled": "true",
        "helicone-cache-read": "false",
        "helicone-cache-save": "true",
        "helicone-cache-bucket-max-size": "3",
        "helicone-cache-seed": "s",
        "helicone-cache-ignore-keys": "user",
        "cache-control": "max-age=60",
        "helicone-ratelimit-policy": "5;w=60",
        "llmgate-stream-cost": "true",
        "helicone-omit-request": "true",
        "helicone-omit-response": "false",
        "helicone-user-id": "ann",
        "helicone-session-id": "1",
        "helicone-session-path": "/a/b",
        "helicone-session-name": "n",
        "helicone-prompt-id": "p",
        "helicone-property-team": "blue",
        "llmgate-own": "x",
    }


def test_no_field_is_forgotten():
    untold = {"others", "properties", "retries", "retry_factor", "retry_min_wait", "retry_max_wait"}
    for field in attrs.fields(Controls):
        if field.name not in untold:
            value: Any = [{"model": "m"}] if field.name == "fallbacks" else ["x"] if field.name[-1:] == "s" else "x"
            assert len(Controls(**{field.name: value}).headers()) == 1, field.name


def test_no_retries():
    assert Controls(retries=0).headers() == {"helicone-retry-enabled": "false"}
    with pytest.raises(TypeError, match="need retries"):
        Controls(retry_factor=2).headers()


def test_headers_are_taken_as_they_are():
    assert control_headers({"Helicone-Cache-Enabled": "true", "CACHE-CONTROL": "no-store"}) == {
        "helicone-cache-enabled": "true",
        "cache-control": "no-store",
    }


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"authorization": "Bearer x"}, ValueError, "'authorization' is nothing that the gateway is told"),
        ({"x-api-key": "x"}, ValueError, "is nothing that the gateway is told"),
        ({"Helicone-Auth": "x"}, ValueError, "say who asks by api_key="),
        ({"Helicone-Target-URL": "https://a.example"}, ValueError, "use a client of llmgate.sdk"),
        ({"llmgate-tags": "a", "Llmgate-Tags": "b"}, ValueError, "given twice"),
        ({"llmgate-failover": False}, TypeError, "must be text"),
        ({7: "x"}, ValueError, "7 is nothing"),
        ("llmgate-failover", TypeError, "not str"),
        (Controls(tags=("a,b",)), TypeError, "tags cannot be"),
        (Controls(tags="eu"), None, ""),
        (Controls(cache={}), TypeError, "cache cannot be"),  # type: ignore[arg-type]
        (Controls(cache_buckets=float("nan")), TypeError, "cache_buckets cannot be"),  # type: ignore[arg-type]
        (Controls(others={"cookie": "x"}), ValueError, "'cookie' is nothing"),
    ],
)
def test_what_is_no_control_is_refused(given: Any, error: type[Exception] | None, says: str):
    if error is None:
        control_headers(given)
        return
    with pytest.raises(error, match=says):
        control_headers(given)
