"""``llmgate schema``: the JSON Schema of the configuration."""

from __future__ import annotations

import json

from llmgate.cli import main


def test_it_is_a_json_schema_that_knows_the_keys(capsys):
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"routers", "providers", "auth", "loggers", "server"} <= schema["properties"].keys()
