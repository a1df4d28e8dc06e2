"""``llmgate secrets check``: which references lead somewhere, who needs them, and never what is there."""

from __future__ import annotations

import json

from llmgate.cli import main

CONFIG = """\
secrets:
  mounted: {use: file, directory: mounted}
auth:
  - use: static-keys
    keys: [{name: alice, secret: "mounted:alice"}]
providers:
  openai: {}
  eu: {use: openai, base-url: "https://eu.example/v1", secret: "mounted:eu"}
  us: {use: openai, base-url: "https://us.example/v1", secret: "mounted:eu"}
routers:
  main:
    load-balance: {chat: {strategy: priority, providers: [eu]}}
    providers: {eu: {secret: "mounted:own"}}
"""


def checked(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(["secrets", "check", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_it_says_what_is_there_who_needs_it_and_no_value(here, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "canary-one")
    (here / "llmgate.yaml").write_text(CONFIG)
    (here / "mounted").mkdir()
    for name in ("alice", "eu", "own"):
        (here / "mounted" / name).write_text("canary-two")
    status, out, err = checked(capsys)
    assert status == 0
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert "found" in rows["env:OPENAI_API_KEY"]
    assert rows["mounted:eu"].endswith("provider eu, provider us")
    assert rows["mounted:own"].endswith("provider eu of router main")
    assert rows["mounted:alice"].endswith("auth[0]")
    assert "canary" not in out + err


def test_what_is_missing_is_named_with_what_to_do(here, capsys, monkeypatch):
    (here / "llmgate.yaml").write_text(CONFIG)
    status, out, err = checked(capsys, "llmgate.yaml")
    assert status == 1
    assert out.count("missing") == 4
    assert "set the environment variable OPENAI_API_KEY" in err
    assert f"there is no file {here}/mounted/eu; create it" in err


def test_programs_get_json(here, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "canary-one")
    (here / "llmgate.yaml").write_text("providers: {openai: {}}\n")
    status, out, _ = checked(capsys, "--json")
    (entry,) = json.loads(out)
    assert status == 0
    assert entry["reference"] == "env:OPENAI_API_KEY"
    assert (entry["store"], entry["found"], entry["used_by"]) == ("env", True, ["provider openai"])
    assert len(entry["fingerprint"]) == 8
    assert "canary" not in out


def test_nothing_is_needed_where_nothing_is_referred_to(here, capsys):
    (here / "llmgate.yaml").write_text("providers: {echo: {}}\n")
    assert checked(capsys)[:2] == (0, "no secret is referred to\n")


def test_a_wrong_configuration_is_told(here, capsys):
    (here / "llmgate.yaml").write_text("providers: {openai: {secret: 'nowhere:x'}}\n")
    status, _, err = checked(capsys)
    assert status == 2
    assert "nowhere" in err
