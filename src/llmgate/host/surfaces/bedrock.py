"""The surface of Amazon Bedrock: Converse, and InvokeModel for Anthropic's models, as AWS's own clients address them.

The model stands in the address, escapes and all; whether to stream is an address of its own. Clients are known by a
bearer token (``AWS_BEARER_TOKEN_BEDROCK``). A signature proves that somebody holds a secret key which the gateway does
not have and cannot check, so that it is nobody's identity here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.routing import Route

from llmgate.formats import get_format
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.errors import RefusedError
from llmgate.host.guard import authenticates
from llmgate.spec import AuthenticationError

from .openai import answer

__all__ = [
    "CONVERSE",
    "CONVERSE_STREAM",
    "INVOKE",
    "INVOKE_STREAM",
    "converse",
    "converse_stream",
    "invoke",
    "invoke_stream",
    "routes",
]

SURFACE: Final = "bedrock"

PREFIXES: Final = ("", "/as/bedrock", "/router/{router}")

SIGNED: Final = "aws4-"
"""How an ``Authorization`` begins that holds a signature."""


def routes() -> Sequence[Route]:
    """The routes of this surface."""
    table: list[Route] = []
    for prefix in PREFIXES:
        model = f"{prefix}/model/{{model:path}}"
        table.append(Route(f"{model}/converse", CONVERSE, name="converse"))
        table.append(Route(f"{model}/converse-stream", CONVERSE_STREAM, name="converse_stream"))
        table.append(Route(f"{model}/invoke", INVOKE, name="invoke"))
        table.append(Route(f"{model}/invoke-with-response-stream", INVOKE_STREAM, name="invoke_stream"))
    return table


async def converse(call: Call, *, stream: bool = False) -> None:
    """Answer a request of Converse."""
    call.wire_format = get_format("bedrock-converse")
    await _answer(call, stream=stream)


async def converse_stream(call: Call) -> None:
    """Answer a request of ConverseStream."""
    await converse(call, stream=True)


async def invoke(call: Call, *, stream: bool = False) -> None:
    """Answer a request of InvokeModel whose body is one of Anthropic Messages."""
    call.wire_format = get_format("bedrock-anthropic")
    await _answer(call, stream=stream, declared=False)


async def invoke_stream(call: Call) -> None:
    """Answer a request of InvokeModelWithResponseStream whose body is one of Anthropic Messages."""
    await invoke(call, stream=True)


async def _answer(call: Call, *, stream: bool, declared: bool = True) -> None:
    try:
        await answer(call, surface=SURFACE, model=call.params["model"], stream=stream, declared=declared)
    except AuthenticationError:
        if not _is_signed(call):
            raise
        raise RefusedError(
            403,
            "a request signed with AWS credentials cannot be checked by this gateway: set AWS_BEARER_TOKEN_BEDROCK to "
            "a key of the gateway, so that the client sends it as a bearer token",
            code="signature_not_verified",
        ) from None


def _is_signed(call: Call) -> bool:
    """Whether all that a client presents is a signature."""
    signed = call.headers.get("authorization", "").lower().startswith(SIGNED)
    return signed and authenticates(call.desk.config)


CONVERSE: Final = Endpoint(("POST",), converse)
CONVERSE_STREAM: Final = Endpoint(("POST",), converse_stream)
INVOKE: Final = Endpoint(("POST",), invoke)
INVOKE_STREAM: Final = Endpoint(("POST",), invoke_stream)
