"""One try at one deployment: credential, request, answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.config.model import UnsupportedConfig
from llmgate.formats import get_format
from llmgate.formats.carried import CarriedFormat
from llmgate.formats.chat_dialects import spoken
from llmgate.formats.rate_limits import time_to_refill, translated_limits
from llmgate.formats.tool_names import restored_response, shortened
from llmgate.spec import (
    Attempt,
    AttemptCall,
    ChatRequest,
    Deployment,
    FinishReason,
    Format,
    GatewayRequest,
    GatewayResponse,
    InvalidRequestError,
    ModelFacts,
    PluginError,
    ProviderError,
    ProviderRequest,
    ProviderResponse,
    RelayBody,
    Role,
    Secret,
    TraceContext,
    Unsupported,
)

from .snapshot import ProviderRuntime

__all__ = ["UNSAID", "Said", "Try", "answer", "build_try", "note_head", "note_unsaid", "read_error", "say"]

UNSAID: Final = frozenset({"unsupported_content", "unsupported_parameter", "unsupported_tool"})
"""Codes of refusals that another deployment, of another wire format, may not have to make."""

_DEFAULT: Final = UnsupportedConfig()
_ALLOWED: Final[Mapping[str, Collection[str]]] = {
    "default": ("report", "adjust"),
    "report": ("report", "adjust", "refuse"),
    "adjust": ("adjust",),
    "refuse": (),
}
"""What a policy lets go, by what the wire format makes of it."""

_INSTRUCTIONS: Final = frozenset({Role.SYSTEM, Role.DEVELOPER})


@attrs.frozen(eq=False)
class Try:
    """An attempt that is ready to be sent.

    Args:
        attempt: Its account.
        runtime: The provider, its adapter and its transport.
        call: What the adapter was asked to build.
        request: What it built.
        relay: Whether both sides speak the same wire format.
        tool_names: Names of tools as the caller gave them, by those sent where they differ.
        rate_limits: Whose headers the caller reads to know what is left of a limit.
        exchange_id: The exchange, whose id an answer without one gets.
    """

    attempt: Attempt
    runtime: ProviderRuntime
    call: AttemptCall
    request: ProviderRequest
    relay: bool
    tool_names: Mapping[str, str] = attrs.field(factory=dict)
    rate_limits: str | None = None
    exchange_id: str = ""

    def limits_in(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What a provider's headers tell of its limits, as the caller reads it."""
        return translated_limits(headers, self.rate_limits, self.call.now)

    def traced(self, trace: TraceContext) -> Try:
        """The same with a request that tells the provider its place in a trace."""
        headers = {**self.request.headers, **trace.headers(self.attempt.span_id)}
        return attrs.evolve(self, request=attrs.evolve(self.request, headers=headers))

    def withhold(self, error: ProviderError) -> None:
        """Keep the provider's own words from a caller who speaks another wire format, but for what is left."""
        if not self.relay:
            limits = self.limits_in(error.headers)
            error.withhold()
            error.headers = limits


@attrs.frozen(eq=False)
class Said:
    """A request as a deployment's wire format says it.

    Args:
        format: The wire format.
        body: What is asked.
        withhold_usage: Whether the gateway itself asks for usage in the stream.
        lost: What is left out or changed, as the caller writes it.
    """

    format: Format
    body: RelayBody | ChatRequest
    withhold_usage: bool = False
    lost: Sequence[str] = ()


def build_try(
    runtime: ProviderRuntime,
    request: GatewayRequest,
    attempt: Attempt,
    secret: Secret | None,
    now: float,
    said: Said | None = None,
    *,
    exchange_id: str = "",
) -> Try:
    """Have the adapter build the request of an attempt.

    Args:
        runtime: The provider, its adapter and its transport.
        request: What is asked, with every edit.
        attempt: The attempt.
        secret: The credential.
        now: Seconds since the epoch.
        said: The request as ``say`` made it; None to have it made.
        exchange_id: The exchange.

    Raises:
        InvalidRequestError: the provider has no counterpart for something that changes the meaning.
        PluginError: the adapter built a request to another host than the provider's.
    """
    if secret is not None:
        attempt.credential_ref = str(secret.ref) if secret.ref else None
        attempt.credential_version = secret.version
        attempt.credential_fingerprint = secret.fingerprint
    if request.relay:
        call = _relay_call(request, attempt, secret, now)
    else:
        call = _call(said or say(runtime, request, attempt.deployment), request, attempt, secret, now)
    names: Mapping[str, str] = {}
    if isinstance(call.body, ChatRequest):
        chat, names = shortened(call.body, call.format.longest_tool_name)
        call = attrs.evolve(call, body=chat) if names else call
    built = runtime.adapter.build_request(call)
    if built.origin != runtime.origin:
        # Whatever a plugin does, a credential never leaves for a host that the operator did not name beside it.
        raise PluginError(
            f"adapter {runtime.adapter.name!r} built a request to {built.origin!r} for provider "
            f"{runtime.provider.name!r}, which is configured elsewhere: the adapter must use provider.base_url"
        )
    if built.lost:
        attempt.dropped_params = (*attempt.dropped_params, *built.lost)
    relay = isinstance(call.body, RelayBody)
    family = None if relay else get_format(request.format).rate_limits
    return Try(attempt, runtime, call, built, relay, names, family, exchange_id)


async def answer(tried: Try, inbound: Format) -> GatewayResponse:
    """Send an attempt and read its whole answer.

    Args:
        tried: The attempt.
        inbound: The caller's wire format, in which the answer is returned.

    Raises:
        ProviderError: the provider failed, or answered with an error.
    """
    attempt, call, adapter = tried.attempt, tried.call, tried.runtime.adapter
    response = await tried.runtime.transport.send(tried.request)
    note_head(tried, response.status, response.headers)
    if not 200 <= response.status < 300:
        raise read_error(tried, response)
    result = adapter.parse_response(call, response)
    attempt.outcome = result.outcome
    return result if result.format == inbound.name else _translated(result, inbound, tried)


def _translated(response: GatewayResponse, client_format: Format, tried: Try) -> GatewayResponse:
    chat = restored_response(response.chat, tried.tool_names) if tried.tool_names else response.chat
    if chat.finish_reason is FinishReason.ERROR:  # formats that have no word for it would tell of a normal end
        raise ProviderError("the provider ended its answer with an error", retryable=True)
    if chat.created is None:  # formats that tell no time are read where no clock is
        chat = attrs.evolve(chat, created=int(tried.call.now))
    if not (chat.id and chat.model):  # and one that tells neither id nor model has both beside the answer
        found = tried.attempt.provider_request_id or tried.exchange_id
        chat = attrs.evolve(chat, id=chat.id or found, model=chat.model or tried.call.deployment.model)
    note_unsaid(tried.attempt, client_format.unsaid(chat))
    return attrs.evolve(
        response,
        format=client_format.name,
        body=client_format.encode_response(chat),
        decode=client_format.decode_response,
        headers=tried.limits_in(response.headers),
    )


def note_unsaid(attempt: Attempt, names: Iterable[str]) -> None:
    """Keep what the caller's format has no words for in the answer beside what the provider's had none for."""
    attempt.dropped_params = tuple(dict.fromkeys((*attempt.dropped_params, *names)))


def read_error(tried: Try, response: ProviderResponse) -> ProviderError:
    """The error behind an answer; its body is shown only to a caller who speaks the provider's wire format."""
    error = tried.runtime.adapter.parse_error(tried.call, response)
    tried.withhold(error)
    return error


def note_head(tried: Try, status: int, headers: Mapping[str, str]) -> None:
    """Keep what the head of an answer tells."""
    attempt = tried.attempt
    attempt.status = status
    attempt.quota_reset = time_to_refill(headers, tried.call.now)
    names = ("x-request-id", "request-id", "x-amzn-requestid")
    attempt.provider_request_id = next((headers[name] for name in names if headers.get(name)), None)


def say(
    runtime: ProviderRuntime, request: GatewayRequest, deployment: Deployment, policy: UnsupportedConfig = _DEFAULT
) -> Said:
    """The request in the wire format of a deployment: its own bytes where that is the caller's, else a translation.

    Args:
        runtime: The provider of the deployment.
        request: What is asked, with every edit.
        deployment: Where it would go.
        policy: What becomes of what the wire format cannot say.

    Raises:
        InvalidRequestError: something has no counterpart there and may not be left out.
    """
    wire_format = _choose_format(runtime, request, deployment)
    asks_usage = (
        request.stream
        and not request.include_usage
        and runtime.provider.row.stream_usage == "option"
        and not isinstance(wire_format, CarriedFormat)
    )
    edits = _edits(request, deployment.model, asks_usage=asks_usage)
    if wire_format.name != request.format:
        chat = attrs.evolve(request.chat, **edits)
        lacking: Sequence[Unsupported] = ()
        if wire_format.name == "openai-chat":
            chat, lacking = spoken(chat, runtime.provider.row)
        chat, lost = _fitted(wire_format, chat, deployment.facts, get_format(request.format), policy, lacking)
        return Said(wire_format, chat, asks_usage, lost)
    if any(proof in request.body for proof in wire_format.foreign_proofs):
        edits["messages"] = wire_format.without_foreign_proofs(edits.get("messages", request.chat.messages))
    patch = request.take_patch()
    if request.upload is not None and isinstance(wire_format, CarriedFormat):
        return Said(wire_format, RelayBody(b"", wire_format.edit_upload(request.upload, edits)), asks_usage)
    if not edits:
        body = request.body
    else:
        facts = deployment.facts
        body = patch(edits, facts) if patch is not None else wire_format.patch_request(request.body, edits, facts)
    return Said(wire_format, RelayBody(body), asks_usage)


def _call(said: Said, request: GatewayRequest, attempt: Attempt, secret: Secret | None, now: float) -> AttemptCall:
    attempt.dropped_params = said.lost
    return AttemptCall(
        operation=request.operation,
        deployment=attempt.deployment,
        format=said.format,
        body=said.body,
        stream=request.stream,
        secret=secret,
        headers=request.headers if isinstance(said.body, RelayBody) else {},
        withhold_usage=said.withhold_usage,
        now=now,
    )


def _fitted(
    wire_format: Format,
    chat: ChatRequest,
    facts: ModelFacts,
    inbound: Format,
    policy: UnsupportedConfig,
    lacking: Sequence[Unsupported],
) -> tuple[ChatRequest, Sequence[str]]:
    """The request as the policy lets it be translated, and what is lost by it, as the caller writes it.

    Raises:
        InvalidRequestError: something may not be left out, or nothing would be left.
    """
    found = (*wire_format.unsupported(chat, facts), *lacking)
    lost = tuple(inbound.fields.get(one.param, one.param) for one in found)
    well_known = get_format("openai-chat").fields if policy.parameters else {}
    for one, name in zip(found, lost, strict=True):
        if one.kind not in _ALLOWED[policy.of(name, well_known.get(one.param, name))]:
            reason = one.reason or f"{name} has no counterpart at the provider, and the gateway is told to say so"
            raise InvalidRequestError(reason, param=name, code="unsupported_parameter")
    refused = next(((one, name) for one, name in zip(found, lost, strict=True) if one.kind == "refuse"), None)
    if refused is not None:
        chat = wire_format.fitted(chat, facts)
        if all(message.role in _INSTRUCTIONS for message in chat.messages):
            raise InvalidRequestError(refused[0].reason, param=refused[1], code="unsupported_parameter")
    return chat, lost


def _relay_call(request: GatewayRequest, attempt: Attempt, secret: Secret | None, now: float) -> AttemptCall:
    """A call that goes to one provider as it is; the format serves only to read its errors."""
    return AttemptCall(
        operation=request.operation,
        deployment=attempt.deployment,
        format=get_format(next(iter(attempt.deployment.provider.row.formats), "openai-chat")),
        body=RelayBody(request.body, request.upload),
        stream=False,
        secret=secret,
        headers=request.headers,
        relay=request.relay,
        now=now,
    )


def _choose_format(runtime: ProviderRuntime, request: GatewayRequest, deployment: Deployment) -> Format:
    """The inbound format where the deployment speaks it, so that bodies are relayed; else its preferred one."""
    formats = runtime.adapter.formats_of(deployment)
    if request.format in formats:
        return get_format(request.format)
    return next(one for one in map(get_format, formats) if one.operation is request.operation)


def _edits(request: GatewayRequest, model: str, *, asks_usage: bool) -> dict[str, Any]:
    edits = dict(request.edits)
    if model != request.model or "model" in edits:
        edits["model"] = model
    if asks_usage:
        edits["include_usage"] = True
    return edits
