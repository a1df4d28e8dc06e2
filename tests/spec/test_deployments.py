"""Deployments are the same where their id is, whatever else is configured around them."""

from __future__ import annotations

import pytest

from llmgate.spec import Audience, Deployment, Principal, Provider, ProviderRow

ROW = ProviderRow(name="x", title="X", base_url="https://x.example/v1")


def provider(name: str, **fields) -> Provider:
    return Provider(name=name, row=ROW, base_url="https://x.example/v1", **fields)


def test_a_deployment_is_its_id():
    one = Deployment("x/a", provider("x"), "a", weight=1)
    two = Deployment("x/a", provider("x"), "a", weight=2)
    assert one == two
    assert {one: "health"}[two] == "health"
    assert one != Deployment("x/b", provider("x"), "b")
    assert one.provider_name == "x"


def test_headers_that_an_operator_adds_do_not_show():
    assert "secret-value" not in repr(provider("x", headers={"x-key": "secret-value"}))


@pytest.mark.parametrize(
    ("wanted", "included"),
    [
        ((("team", ("research",)),), True),
        ((("team", ("re*", "x")),), True),
        ((("team", ("sales",)),), False),
        ((("groups", ("vip-*",)),), True),
        ((("groups", ("vip",)),), False),
        ((("team", ("research",)), ("id", ("ada",))), True),
        ((("team", ("research",)), ("id", ("bob",))), False),
        ((("issuer", ("sso",)), ("kind", ("key",))), True),
        ((("unknown", ("*",)),), False),
        ((("level", ("3",)),), True),
    ],
)
def test_whom_a_deployment_is_kept_for(wanted, included):
    attributes = {"team": "research", "groups": ["staff", "vip-2"], "level": 3}
    assert Audience(wanted).includes(Principal("ada", issuer="sso", attributes=attributes)) is included
