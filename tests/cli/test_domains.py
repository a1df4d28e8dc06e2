"""``llmgate domains``: from the asking to the decision, with the proof in a real name server; the book is the audit."""

from __future__ import annotations

import json
import re

import pytest

from llmgate.cli import main
from name_server import name_server


def said(capsys, *arguments: str, status: int = 0) -> str:
    assert main(["domains", *arguments]) == status
    captured = capsys.readouterr()
    return captured.out if status == 0 else captured.err


def token_in(text: str) -> str:
    found = re.search(r"llmgate-verification=([0-9a-f]{32})", text)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("where", ["api.example.com", "_llmgate-challenge.api.example.com"])
def test_a_domain_is_asked_for_proven_and_approved(here, capsys, where):
    text = token_in(said(capsys, "request", "API.example.com", "--note", "Acme, by mail of 3 May", "--by", "ann"))
    assert text in said(capsys, "request", "api.example.com"), "asking again gives the same record"
    with name_server({"api.example.com": ["v=spf1 -all"], where: ["v=spf1 -all", text]}) as server:
        resolver = f"127.0.0.1:{server.port}"
        assert "nothing proves yet" in said(capsys, "approve", "api.example.com", status=1)
        assert f"proven by {text} at {where}" in said(capsys, "verify", "api.example.com", "--resolver", resolver)
    assert "approved" in said(capsys, "approve", "api.example.com", "--by", "bob", "--note", "fine")
    events = [json.loads(line) for line in (here / "llmgate-domains.jsonl").read_text().splitlines()]
    assert [event["action"] for event in events] == ["requested", "requested", "verified", "approved"]
    assert [event["by"] for event in events if event["by"] in {"ann", "bob"}] == ["ann", "bob"]
    assert events[0]["note"] == "Acme, by mail of 3 May"
    (one,) = json.loads(said(capsys, "list", "--json"))
    assert (one["domain"], one["action"], one["note"]) == ("api.example.com", "approved", "fine")
    assert one["proven"]
    assert re.search(r"api\.example\.com +approved", said(capsys, "list"))


def test_the_record_that_helicones_gateway_asks_for_is_a_proof_too(here, capsys):
    with name_server({"a.example": ["hconeai-verification=true"]}) as server:
        said(capsys, "verify", "a.example", "--resolver", f"127.0.0.1:{server.port}")
    said(capsys, "approve", "a.example")


@pytest.mark.parametrize(
    "published", [[], ["llmgate-verification="], ["llmgate-verification=0" * 33], ["xhconeai-verification=true"],
                  ["hconeai-verification=false"]]
)  # fmt: skip
def test_no_other_text_is_a_proof(here, capsys, published):
    said(capsys, "request", "a.example")
    with name_server({"a.example": published, "b.example": ["hconeai-verification=true"]}) as server:
        error = said(capsys, "verify", "a.example", "--resolver", f"127.0.0.1:{server.port}", status=1)
    assert "no proof at a.example nor at _llmgate-challenge.a.example" in error
    said(capsys, "approve", "a.example", status=1)


def test_a_name_server_that_fails_proves_nothing(here, capsys):
    with name_server({}) as server:
        server.code = 2
        error = said(capsys, "verify", "a.example", "--resolver", f"127.0.0.1:{server.port}", status=1)
    assert "no name server answered" in error
    assert not (here / "llmgate-domains.jsonl").exists()


def test_the_operator_may_approve_without_proof_and_deny(here, capsys):
    said(capsys, "approve", "a.example", "--without-proof", "--note", "our own")
    said(capsys, "deny", "b.example")
    said(capsys, "deny", "a.example")
    states = {one["domain"]: one["action"] for one in json.loads(said(capsys, "list", "--json"))}
    assert states == {"a.example": "denied", "b.example": "denied"}
    assert len((here / "llmgate-domains.jsonl").read_text().splitlines()) == 3, "nothing is ever taken out"


def test_the_book_is_where_the_configuration_says(here, capsys):
    (here / "conf").mkdir()
    (here / "conf" / "gateway.yaml").write_text("providers: {echo: {}}\ntarget-urls: {book: books/domains.jsonl}\n")
    (here / "conf" / "books").mkdir()
    said(capsys, "deny", "a.example", "--config", "conf/gateway.yaml")
    assert (here / "conf" / "books" / "domains.jsonl").exists()
    said(capsys, "deny", "a.example", "--book", "elsewhere.jsonl")
    assert (here / "elsewhere.jsonl").exists()
    (here / "llmgate.yaml").write_text("providers: {echo: {}}\n")
    said(capsys, "deny", "a.example")
    assert (here / "llmgate-domains.jsonl").exists()


@pytest.mark.parametrize(
    "domain", ["", "x y", "https://a.example", "a.example/x", "a.example:1", "127.1", "*.a.example", "ä.b"]
)
def test_what_is_no_domain_is_refused(here, capsys, domain):
    with pytest.raises(SystemExit):
        main(["domains", "approve", domain])
    assert "is no host name" in capsys.readouterr().err
