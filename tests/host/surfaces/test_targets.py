"""Which request goes to a target, and with which key; the whole way is walked in end_to_end/test_targets.py."""

from __future__ import annotations

from llmgate.host.headers import target_request_headers
from llmgate.host.surfaces.targets import TARGET, TARGET_HEADER


def test_it_takes_any_method_and_keeps_foreign_pages_out() -> None:
    assert TARGET.methods is None
    assert TARGET.guarded
    assert TARGET_HEADER == "helicone-target-url"


def test_a_targets_headers_are_the_callers_less_those_of_the_way() -> None:
    goes = {"content-type": "a", "openai-organization": "b", "anthropic-beta": "c", "http-referer": "d", "x-title": "e",
            "upstash-delay": "f", "cf-aig-authorization": "g", "idempotency-key": "h", "accept": "i"}  # fmt: skip
    stays = ["authorization", "x-api-key", "api-key", "x-goog-api-key", "helicone-auth", "helicone-target-url",
             "llmgate-x", "cookie", "host", "content-length", "connection", "te", "x-forwarded-for", "x-forwarded-host",
             "forwarded", "via", "x-real-ip", "metadata-flavor", "x-aws-ec2-metadata-token",
             "x-google-metadata-request",
             "proxy-authorization", "origin", "referer", "sec-fetch-site", "sec-websocket-key", "accept-encoding",
             "content-encoding", "user-agent", "x-stainless-retry-count", "traceparent", "x-request-id",
             "cf-connecting-ip", "x-original-url", "expect", "upgrade", "x-http-method-override"]  # fmt: skip
    headers = {**goes, **dict.fromkeys(stays, "canary"), "x-named": "canary"}
    assert target_request_headers({**headers, "connection": "close, X-Named"}) == goes
