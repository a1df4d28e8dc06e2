"""``llmgate prices``: what models cost, where a list differs, and a list made usable."""

from __future__ import annotations

import json

import pytest

from llmgate.cli import main

LIST = {
    "gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 3e-06, "output_cost_per_token": 1e-05},
    "made-up": {"litellm_provider": "openai", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "claude-sonnet-4-5": {
        "litellm_provider": "anthropic",
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.5e-05,
        "output_cost_per_token_above_200k_tokens": 2e-05,
    },
}
CONFIG = {
    "providers": {"mine": {"base-url": "http://127.0.0.1:1", "keyless": True}},
    "prices": {"models": {"openai/gpt-4o": {"input": 1.5, "output": 2, "request": 0.001}, "mine/*": {"input": 1}}},
}


@pytest.fixture
def listed(here):
    (here / "list.json").write_text(json.dumps(LIST))
    return here


def test_prices_are_shown_for_a_million_tokens(here, capsys):
    assert main(["prices", "show", "openai/gpt-4o-mini"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["MODEL", "INPUT", "OUTPUT"]
    assert line.split()[:4] == ["openai/gpt-4o-mini", "0.15", "0.6", "0.075"]
    assert "web search 0.01" in line
    assert "genai-prices" in line


def test_a_name_that_the_catalogue_knows_by_a_pattern_is_shown(here, capsys):
    assert main(["prices", "show", "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"]) == 0
    assert "3.3" in capsys.readouterr().out


def test_all_of_a_price_can_be_shown(here, capsys):
    assert main(["prices", "show", "anthropic/claude-sonnet-4-5", "deepseek/deepseek-v4-pro", "--all"]) == 0
    out = capsys.readouterr().out
    assert "input above 200,000" in out
    assert "01:00-04:00 UTC" in out
    assert "from 2026-08-17" in out
    assert "batch" in out


def test_prices_as_json_are_integers(here, capsys):
    assert main(["prices", "show", "openai/gpt-4o-mini", "--json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)
    assert (line["model"], line["rates"]["input"], line["tier"]) == ("openai/gpt-4o-mini", 150_000, "")


def test_everything_is_shown_where_nothing_is_named(here, capsys):
    assert main(["prices", "show"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 2000


def test_the_configurations_prices_win(here, capsys):
    (here / "llmgate.yaml").write_text(json.dumps(CONFIG))
    assert main(["prices", "show", "openai/gpt-4o", "mine/anything"]) == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:3] == ["openai/gpt-4o", "1.5", "2"]
    assert "request 0.001" in first
    assert second.split()[:3] == ["mine/anything", "1", "-"]
    assert "the configuration" in second


def test_an_unknown_model_is_said_to_be_unknown(here, capsys):
    assert main(["prices", "show", "openai/gpt-99", "nobody/*"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no price is known for openai/gpt-99, nobody/*" in captured.err


def test_a_list_is_compared(listed, capsys):
    assert main(["prices", "diff", "list.json"]) == 0
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[1:-1]] == [
        ["anthropic/claude-sonnet-4-5", "input", "above", "200,000", "6", "3"],
        ["anthropic/claude-sonnet-4-5", "output", "above", "200,000", "22.5", "20"],
        ["openai/gpt-4o", "input", "2.5", "3"],
    ]
    assert out.splitlines()[-1] == "2 models differ, 1 have no price in use"
    assert main(["prices", "diff", "list.json", "--json", "--format", "litellm"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["new"] == 1
    assert said["differences"][-1] == {"model": "openai/gpt-4o", "rate": "input", "in_use": "2.5", "listed": "3"}


def test_a_list_is_imported_and_used(listed, capsys):
    assert main(["prices", "import", "list.json"]) == 0
    assert "written to prices.json: name it in the configuration as prices.file" in capsys.readouterr().out
    (listed / "llmgate.yaml").write_text(json.dumps({**CONFIG, "prices": {"file": "prices.json"}}))
    assert main(["prices", "show", "openai/made-up", "openai/gpt-4o", "openai/gpt-4o-mini"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[:3] for line in lines) == [
        ["openai/gpt-4o", "3", "10"],
        ["openai/gpt-4o-mini", "0.15", "0.6"],
        ["openai/made-up", "1", "1"],
    ]
    assert sum("litellm (list.json)" in line for line in lines) == 2
    assert main(["prices", "diff", "list.json"]) == 0
    assert "0 models differ, 0 have no price in use" in capsys.readouterr().out


def test_an_import_as_json_counts_models(listed, capsys):
    assert main(["prices", "import", "list.json", "--json", "--output", "other.json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["source"], said["models"]) == ("litellm (list.json)", {"anthropic": 1, "openai": 2})
    assert (listed / "other.json").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "list.json is not JSON"), ("{}", "list.json holds no prices"), (None, "list.json: No such file")],
)
def test_a_file_that_is_no_list_is_named(here, capsys, content, said):
    if content is not None:
        (here / "list.json").write_text(content)
    assert main(["prices", "import", "list.json"]) == 1
    assert said in capsys.readouterr().err
    assert not (here / "prices.json").exists()


def test_a_bare_name_is_told_how_to_be_written(here, capsys):
    assert main(["prices", "show", "gpt-4o"]) == 1
    assert "write provider/model, or '*/gpt-4o' for all that have it" in capsys.readouterr().err
