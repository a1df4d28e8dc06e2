"""What ``llmgate serve`` prints when it is ready."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import socket
from collections.abc import Iterator, Sequence
from typing import Final

from llmgate.config.model import GatewayConfig, ServerConfig
from llmgate.host.guard import authenticates, is_loopback
from llmgate.pipeline import ModelEntry

__all__ = ["greeting"]

MODELS_SHOWN: Final = 3
LONGEST_LIST: Final = 12


def greeting(
    config: GatewayConfig, server: ServerConfig, bound: socket.socket, models: Sequence[ModelEntry]
) -> Iterator[str]:
    """What the start prints, one line each; the last is a command that works when pasted.

    Args:
        config: What is served.
        server: The host's settings.
        bound: A socket that is listened on.
        models: The models that are known.
    """
    url = _url(server, bound.getsockname()[1])
    version = importlib.metadata.version("llmgate")
    yield f"llmgate {version} is listening on {url} (configuration: {config.source})"
    yield f"providers: {_listed(list(config.providers)) or 'none'}"
    if config.routers:
        yield f"routers: {_listed(list(config.routers))}"
    names = [entry.id for entry in models]
    shown = ", ".join(names[:MODELS_SHOWN]) + (", …" if len(names) > MODELS_SHOWN else "")
    yield f"models: {len(names)} known{f' ({shown})' if names else ''}"
    secured = authenticates(config)
    yield f"authentication: {_authentication(config, server, secured=secured)}"
    for warning in config.warnings:
        yield f"warning: {warning}"
    yield f"try: {_curl(config, url, names, secured=secured)}"


def _authentication(config: GatewayConfig, server: ServerConfig, *, secured: bool) -> str:
    if secured:
        return ", ".join(stage.use for stage in config.auth)
    if is_loopback(server.address):
        return "off: any program on this machine can use the keys"
    return "off although the port is open: whoever reaches it spends the keys"


def _curl(config: GatewayConfig, url: str, models: Sequence[str], *, secured: bool) -> str:
    """A request that works when pasted, but for the key where one is wanted."""
    body = {"model": _example_model(config, models), "messages": [{"role": "user", "content": "Hello!"}]}
    parts = ["curl", f"{url}/v1/chat/completions", "-H", shlex.quote("Content-Type: application/json")]
    if secured:
        parts += ["-H", '"Authorization: Bearer $YOUR_KEY"']
    return " ".join([*parts, "-d", shlex.quote(json.dumps(body))])


def _example_model(config: GatewayConfig, models: Sequence[str]) -> str:
    """A model of the first provider, written as a caller would."""
    for provider in config.providers:
        if provider == "echo":
            return "echo"
        for model in models:
            if model.startswith(f"{provider}/") and "*" not in model:
                return model
    return models[0] if models else "provider/model"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:LONGEST_LIST])
    more = len(names) - LONGEST_LIST
    return f"{shown} and {more} more" if more > 0 else shown


def _url(server: ServerConfig, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(server.address, server.address)  # noqa: S104 - compared only
    scheme = "http" if server.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{port}"
