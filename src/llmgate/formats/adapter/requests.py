"""The HTTP request of an attempt, for any vendor whose wire format is known: address, headers, credential, body."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

import attrs

from llmgate.formats.chat_dialects import renamed
from llmgate.spec import (
    AttemptCall,
    ConfigError,
    CredentialHeader,
    NoDeploymentError,
    Provider,
    ProviderRequest,
    RelayBody,
    RelayTarget,
    Secret,
)

__all__ = ["build_request", "origin_of"]


def build_request(call: AttemptCall, credential: Mapping[str, str] | None = None) -> ProviderRequest:
    """The HTTP request for a call; the same call gives the same bytes.

    The row's headers are defaults that the client's own, allowed by the format, replace (a vendor's API version belongs
    with the body that was written for it); nothing replaces what the operator or the gateway itself sends.

    Args:
        call: What is asked.
        credential: Headers that present the credential in a way of the adapter's own; None for the row's.

    Raises:
        NoDeploymentError: the provider needs a credential and none was found, or it cannot be sent.
        ConfigError: the provider does not speak the format.
        InvalidRequestError: the format has no counterpart for something that changes the meaning.
    """
    if call.relay is not None:
        return _build_relay(call, call.relay, credential)
    provider = call.deployment.provider
    path = provider.path_of(call.format.name)
    upload = call.body.upload if isinstance(call.body, RelayBody) else None
    if path is None:
        raise ConfigError(f"provider {provider.name!r} does not speak {call.format.name}: choose a format of its row")
    native = None if _is_openais(call.format.name) else provider.row.relay_credential
    return ProviderRequest(
        method="POST",
        url=origin_of(provider.base_url) + call.format.address(path, model=call.deployment.model, stream=call.stream),
        headers={
            **_lower(provider.row.headers),
            **call.headers,
            **_lower(provider.headers),
            "content-type": call.format.media_type if upload is None else upload.media_type,
            "accept": call.format.stream_media_type if call.stream else call.format.media_type,
            **(_credential(provider, call.secret, native) if credential is None else credential),
        },
        body=_body(call) if upload is None else None,
        upload=upload,
        provider_name=provider.name,
        origin=origin_of(provider.base_url),
        pool=f"{provider.name}:{call.secret.fingerprint if call.secret else 'keyless'}",
        timeouts=provider.timeouts,
    )


def _build_relay(call: AttemptCall, target: RelayTarget, credential: Mapping[str, str] | None) -> ProviderRequest:
    """A request that goes up as it came, but for the credential and the headers of the row and the operator."""
    provider = call.deployment.provider
    origin = origin_of(provider.base_url)
    if target.session:
        path = urlsplit(provider.base_url).path + _session_path(provider, target)
        target = attrs.evolve(target, path=path + _with_model(target.path, call.deployment.model))
    native = provider.row.relay_credential if _is_native(provider, target) else None
    assert isinstance(call.body, RelayBody), "a relayed request has a body of its own"
    return ProviderRequest(
        method=target.method,
        url=origin + target.path,
        headers={
            **_lower(provider.row.headers),
            **call.headers,
            **_lower(provider.headers),
            **(_credential(provider, call.secret, native) if credential is None else credential),
        },
        body=call.body.data or None,
        upload=call.body.upload,
        provider_name=provider.name,
        origin=origin,
        pool=f"{provider.name}:{call.secret.fingerprint if call.secret else 'keyless'}",
        timeouts=provider.timeouts,
    )


def _session_path(provider: Provider, target: RelayTarget) -> str:
    path = provider.row.sockets.get(target.session)
    if path is None:
        raise ConfigError(f"provider {provider.name!r} holds no sessions of {target.session}: ask another provider")
    return path


def _with_model(query: str, model: str) -> str:
    """A query in which the model, if it names one, is called as the provider calls it; the rest stays as it came."""
    parts = [
        f"model={quote(model, safe='')}" if unquote(part.partition("=")[0]) == "model" else part
        for part in query.split("&")
    ]
    return f"?{'&'.join(parts)}" if query else ""


def _is_native(provider: Provider, target: RelayTarget) -> bool:
    """Whether a path is none of the OpenAI-compatible ones below the provider's address."""
    if target.session:
        return False  # those are OpenAI's
    path = target.path.partition("?")[0]
    return path not in {provider.path_of(name) for name in provider.row.formats if _is_openais(name)}


def _is_openais(wire_format: str) -> bool:
    """Whether a wire format is OpenAI's, so that the credential goes as OpenAI's clients send it."""
    return wire_format.startswith("openai-")


def origin_of(url: str) -> str:
    """``scheme://host[:port]`` of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _body(call: AttemptCall) -> bytes:
    if isinstance(call.body, RelayBody):
        return call.body.data
    asks_usage = call.stream and (call.body.include_usage or call.withhold_usage)
    request = attrs.evolve(call.body, model=call.deployment.model, stream=call.stream, include_usage=asks_usage)
    body = call.format.encode_request(request, call.deployment.facts)
    row = call.deployment.provider.row
    return renamed(body, row) if row.chat_fields and call.format.name == "openai-chat" else body


def _credential(provider: Provider, secret: Secret | None, instead: CredentialHeader | None = None) -> dict[str, str]:
    """The header that carries the credential, none for a provider that works without."""
    header = instead or provider.row.credential
    if secret is not None and secret.bearer:
        header = CredentialHeader()
    if secret is None:
        if provider.secret is not None or not (header is None or provider.row.keyless):
            variables = " or ".join(provider.row.key_variables) or "its secret"
            raise NoDeploymentError(
                f"provider {provider.name!r} has no credential: set {variables}", code="missing_credential"
            )
        return {}
    if header is None:
        return {}
    value = secret.reveal()
    if not value or not value.isascii() or not value.isprintable() or value != value.strip():
        raise NoDeploymentError(
            f"the credential of provider {provider.name!r} is empty or holds characters that no header can carry: "
            f"correct {secret.ref or 'its secret'}",
            code="unusable_credential",
        )
    return {header.name.lower(): header.prefix + value}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
