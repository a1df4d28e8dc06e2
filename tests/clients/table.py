"""The clients, and how each is pointed at the gateway: what the how-to pages tell, and no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from llmgate.formats import FORMATS

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "clients"
NODE = BUILD / "node" / "node_modules"
PROGRAMS = Path(__file__).parent / "programs"
MODEL = "behind/qwen3-max"
NOTE = "note.txt"


@attrs.frozen
class Place:
    """Where a client runs: the gateway's address, a home of its own, and the folder that it works in."""

    url: str
    home: Path
    work: Path


@attrs.frozen
class Client:
    """A client.

    Args:
        name: What it is called.
        providers: The formats of the providers it is run against; the first shows a translation.
        log: What its installation had to say.
        command: The command for a prompt.
        environment: Its environment.
        files: Files in its home, by their names.
        tool: Its own tool for reading files.
        arguments: What that is called with.
        answer: What the model says at last instead of a greeting, and what must then stand in the file.
        route: The route of the gateway that it needs.
    """

    name: str
    providers: Sequence[str]
    log: str
    command: Callable[[Place, str], Sequence[str]]
    environment: Callable[[Place], Mapping[str, str]]
    files: Callable[[Place], Mapping[str, str]] = lambda place: {}
    tool: str | None = None
    arguments: Callable[[Place], Mapping[str, Any]] = lambda place: {}
    answer: str | None = None
    route: str = "/v1/chat/completions"


class MissingError(Exception):
    """A client is not there."""


def is_there(client: Client) -> bool:
    """Whether the gateway has what the client needs: Codex speaks Responses alone."""
    return client.route != "/v1/responses" or "openai-responses" in FORMATS


def native(pattern: str) -> str:
    """The program for this machine among those of a package."""
    found = sorted(NODE.glob(pattern))
    if not found:
        raise MissingError(f"nothing at {NODE}/{pattern}")
    return str(found[0])


def claude_code(place: Place, prompt: str) -> Sequence[str]:
    program = native("@anthropic-ai/claude-code-*/claude*")
    return [program, "-p", prompt, "--model", MODEL]


def claude_environment(place: Place) -> Mapping[str, str]:
    return {
        "ANTHROPIC_BASE_URL": place.url,
        "ANTHROPIC_AUTH_TOKEN": "my-llmgate-key",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }


def codex(place: Place, prompt: str) -> Sequence[str]:
    provider = f'{{name="llmgate", base_url="{place.url}/v1", env_key="LLMGATE_API_KEY", wire_api="responses"}}'
    settings = ["-c", f"model_providers.llmgate={provider}", "-c", 'model_provider="llmgate"']
    program = ["node", native("@openai/codex/bin/codex.js"), "exec", "--skip-git-repo-check"]
    # The sandbox of the kernel's is not to be had in every container; the one command that is run shows a file.
    return [*program, "--sandbox", "danger-full-access", *settings, "-m", MODEL, prompt]


def gemini_cli(place: Place, prompt: str) -> Sequence[str]:
    return ["node", native("@google/gemini-cli/bundle/gemini.js"), "--skip-trust", "-m", MODEL, "-p", prompt]


def gemini_environment(place: Place) -> Mapping[str, str]:
    return {"GOOGLE_GEMINI_BASE_URL": place.url, "GEMINI_API_KEY": "my-llmgate-key", "GEMINI_CLI_NO_RELAUNCH": "true"}


def gemini_files(place: Place) -> Mapping[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "general": {"disableAutoUpdate": True, "disableUpdateNag": True},
    }
    return {".gemini/settings.json": json.dumps(settings)}


def opencode(place: Place, prompt: str) -> Sequence[str]:
    return [native("opencode-[!a]*/bin/opencode"), "run", prompt]


def opencode_environment(place: Place) -> Mapping[str, str]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "llmgate",
        "options": {"baseURL": f"{place.url}/v1", "apiKey": "my-llmgate-key"},
        "models": {MODEL: {"name": MODEL}},
    }
    names = {"model": f"llmgate/{MODEL}", "small_model": f"llmgate/{MODEL}"}
    settings = {"autoupdate": False, "share": "disabled", "provider": {"llmgate": provider}, **names}
    return {
        "OPENCODE_CONFIG_CONTENT": json.dumps(settings),
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    }


def aider(place: Place, prompt: str) -> Sequence[str]:
    quiet = ["--no-git", "--no-check-update", "--analytics-disable", "--no-show-model-warnings", "--no-pretty"]
    program = str(BUILD / "aider" / "bin" / "aider")
    return [program, "--model", f"openai/{MODEL}", *quiet, "--yes-always", "--message", prompt, NOTE]


def aider_environment(place: Place) -> Mapping[str, str]:
    return {"OPENAI_API_BASE": f"{place.url}/v1", "OPENAI_API_KEY": "my-llmgate-key"}


def llm(place: Place, prompt: str) -> Sequence[str]:
    reading = f"def read_note() -> str:\n    'Reads the note.'\n    return open({NOTE!r}).read()\n"
    return [str(BUILD / "python" / "bin" / "llm"), "-m", "gateway", "--functions", reading, prompt]


def llm_environment(place: Place) -> Mapping[str, str]:
    return {"LLM_USER_PATH": str(place.home / "llm"), "OPENAI_API_KEY": "my-llmgate-key"}


def llm_files(place: Place) -> Mapping[str, str]:
    model = {"model_id": "gateway", "model_name": MODEL, "api_base": f"{place.url}/v1", "supports_tools": True}
    return {"llm/extra-openai-models.yaml": json.dumps([model])}


def program(name: str, environment: str = "python") -> Callable[[Place, str], Sequence[str]]:
    """A program of ours that uses a library, of the environment of that name."""
    return lambda place, prompt: [str(BUILD / environment / "bin" / "python"), str(PROGRAMS / name), prompt]


def program_environment(place: Place) -> Mapping[str, str]:
    return {"GATEWAY": place.url, "MODEL": MODEL, "LANGSMITH_TRACING": "false", "PYTHONWARNINGS": "ignore"}


def note_at(name: str) -> Callable[[Place], Mapping[str, Any]]:
    """The note's whole path, as the argument of that name."""
    return lambda place: {name: str(place.work / NOTE)}


def library(name: str, *providers: str, route: str = "/v1/chat/completions") -> Client:
    return Client(
        name,
        providers,
        "python.log",
        program(f"with_{name.replace('-', '_')}.py"),
        program_environment,
        tool="read_note",
        route=route,
    )


CLIENTS = (
    Client(
        "claude-code",
        ("openai-chat", "anthropic-messages", "gemini-generate-content"),
        "node.log",
        claude_code,
        claude_environment,
        tool="Read",
        arguments=note_at("file_path"),
        route="/v1/messages",
    ),
    Client(
        "codex",
        ("openai-chat", "anthropic-messages"),
        "node.log",
        codex,
        lambda place: {"LLMGATE_API_KEY": "my-llmgate-key"},
        tool="exec_command",
        arguments=lambda place: {"cmd": f"cat {NOTE}"},
        route="/v1/responses",
    ),
    Client(
        "gemini-cli",
        ("openai-chat", "gemini-generate-content"),
        "node.log",
        gemini_cli,
        gemini_environment,
        gemini_files,
        tool="read_file",
        arguments=lambda place: {"file_path": NOTE},
        route="/v1beta/models",
    ),
    Client(
        "opencode",
        ("anthropic-messages", "openai-chat"),
        "node.log",
        opencode,
        opencode_environment,
        tool="read",
        arguments=note_at("filePath"),
    ),
    Client(
        "aider",
        ("anthropic-messages", "openai-chat"),
        "aider.log",
        aider,
        aider_environment,
        answer=f"{NOTE}\n```\nwritten by the model\n```\n",
    ),
    Client(
        "llm", ("anthropic-messages", "openai-chat"), "python.log", llm, llm_environment, llm_files, tool="read_note"
    ),
    library("langchain-openai", "anthropic-messages", "openai-chat"),
    library("langchain-anthropic", "openai-chat", "anthropic-messages", route="/v1/messages"),
    library("mistral", "anthropic-messages", "openai-chat"),
    library("pydantic-ai", "anthropic-messages", "openai-chat"),
    Client(
        "openai-0",
        ("anthropic-messages", "openai-chat"),
        "legacy.log",
        program("with_openai_0.py", "legacy"),
        program_environment,
        tool="read_note",
        route="/v1/",
    ),
    Client(
        "openai-0-functions",
        ("anthropic-messages", "gemini-generate-content"),
        "legacy.log",
        program("with_functions.py", "legacy"),
        program_environment,
        tool="read_note",
        route="/v1/",
    ),
)
