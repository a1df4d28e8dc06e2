"""``llmgate providers``: who can be used now, and what everybody else still needs."""

from __future__ import annotations

import json

from llmgate.cli import main


def listed(capsys) -> dict[str, dict[str, object]]:
    assert main(["providers", "--json"]) == 0
    return {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}


def test_a_key_makes_a_provider_usable_and_is_not_shown(here, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-value")
    (here / ".env").write_text("GROQ_API_KEY=another-secret\n")
    entries = listed(capsys)
    assert entries["openai"]["usable"] is True
    assert entries["openai"]["status"] == "usable, with OPENAI_API_KEY"
    assert entries["groq"]["usable"] is True
    assert "secret" not in json.dumps([entries["openai"], entries["groq"]])


def test_a_missing_variable_is_named(here, capsys):
    entries = listed(capsys)
    assert entries["openai"]["usable"] is False
    assert entries["openai"]["status"] == "set OPENAI_API_KEY"
    assert not any(entry["usable"] for entry in entries.values())


def test_an_empty_variable_is_a_missing_one(here, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert listed(capsys)["openai"]["status"] == "set OPENAI_API_KEY"


def test_what_each_needs_beside_a_key_is_said(here, capsys):
    entries = listed(capsys)
    assert entries["ollama"]["status"] == "name it in the configuration"
    assert "base-url" in str(entries["azure"]["status"])
    relayed = [entry for entry in entries.values() if not entry["formats"]]
    assert relayed
    assert all(one["status"] == f"direct relay only, at /{one['name']}/..." for one in relayed)


def test_the_table_has_the_usable_first(here, capsys, monkeypatch):
    monkeypatch.setenv("XAI_API_KEY", "k")
    assert main(["providers"]) == 0
    head, first, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == ["PROVIDER", "STATUS", "ADDRESS", "FORMATS"]
    assert first.split()[0] == "xai"
    assert "https://api.x.ai/v1" in first
    assert "openai-chat" in first
    assert len(rest) > 30
