"""The pages about clients tell the settings that ``make test-clients`` runs them with."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.table import CLIENTS, Place, is_there

PAGES = Path(__file__).parents[2] / "docs" / "how_to"
PAGE = {
    "claude-code": "claude_code.md",
    "codex": "codex.md",
    "gemini-cli": "gemini_cli.md",
}
LIBRARIES = {"mistral": "mistralai", "openai-0": "openai", "openai-0-functions": "openai"}
"""What the package of a client is called where it is not called like the client."""
URL = "http://localhost:8080"
PLACE = Place(URL, Path("/nowhere"), Path("/nowhere/work"))
QUIET = (
    "LLMGATE_API_KEY",
    "DISABLE",
    "NO_RELAUNCH",
    "LANGSMITH",
    "PYTHONWARNINGS",
    "LLM_USER_PATH",
    "OPENCODE_CONFIG_CONTENT",
)
"""Parts of the names of variables that keep a client quiet, or stand for a file that the page shows."""
IN_FILES = {
    "codex": ("base_url", "env_key", "LLMGATE_API_KEY", "wire_api", "responses"),
    "gemini-cli": ("selectedType", "gemini-api-key"),
    "opencode": ("@ai-sdk/openai-compatible", "baseURL", "apiKey", "small_model"),
    "llm": ("model_id", "model_name", "api_base", "supports_tools"),
}


@pytest.mark.parametrize("client", [one for one in CLIENTS if is_there(one)], ids=lambda client: client.name)
def test_what_a_client_is_set_up_with_is_told(client, monkeypatch):
    page = (PAGES / PAGE.get(client.name, "other_clients.md")).read_text(encoding="utf-8")
    variables = client.environment(PLACE)
    if "GATEWAY" in variables:  # a library, whose program reads it
        assert f"`{LIBRARIES.get(client.name, client.name)}`" in page
        return
    needed = {name: value for name, value in variables.items() if not any(part in name for part in QUIET)}
    for name, value in needed.items():
        assert f"{name}={value}" in page, f"{name}={value} is not in the page"
    for word in IN_FILES.get(client.name, ()):
        assert word in page, f"{word} is not in the page"
        assert word in settings_of(client, monkeypatch), f"{word} is not what the client is run with"


def settings_of(client, monkeypatch) -> str:
    """Everything that a client is told beside its plain variables."""
    monkeypatch.setattr("clients.table.native", str)
    command = client.command(PLACE, "hi")
    return " ".join([*command, *client.files(PLACE).values(), *client.environment(PLACE).values()])
