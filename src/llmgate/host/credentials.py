"""What a caller presents, gathered from every header in which client libraries put it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from llmgate.spec import ClientCertificate, Credentials

__all__ = ["ALONE", "CERTIFICATE", "PLACES", "gather", "is_private"]

ALONE: Final = "helicone-auth"
"""Where this header is, it alone says who asks; what is in the other places is the caller's own key at a provider."""

PLACES: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "helicone-auth")
"""The headers in which a caller may present a credential, lower case."""

CERTIFICATE: Final = "llmgate.client_certificate"
"""Where the scope of a request has the certificate of its client; servers write scopes, clients do not."""

SUBPROTOCOLS: Final = "sec-websocket-protocol"
IN_SUBPROTOCOL: Final = "openai-insecure-api-key."
"""Where a browser, which can set no header of a WebSocket, puts its key (OpenAI, "Realtime API with WebSocket")."""

PRIVATE: Final = (IN_SUBPROTOCOL, "openai-organization.", "openai-project.")


def is_private(subprotocol: str) -> bool:
    """Whether what a client offers as a subprotocol carries a credential, or says who pays: it never goes up."""
    return subprotocol.startswith(PRIVATE)


def gather(
    headers: Mapping[str, str], client_address: str, *, query: str = "", certificate: ClientCertificate | None = None
) -> Credentials:
    """The credentials of a request.

    Where ``helicone-auth`` is present its token is the only one, be it readable or not, and the first in the other
    places is the caller's key at a provider. A value is a bare token, or one after the word ``Bearer``; any other
    scheme carries no token.

    Args:
        headers: The request's headers by lower-case name.
        client_address: The peer's address.
        query: The request's query where its clients may put a key there (``?key=``, as Google's may); it counts where
            the header ``x-goog-api-key`` is absent.
        certificate: The one that TLS has verified; None for none.
    """
    tokens: dict[str, str] = {}
    for place in PLACES:
        value = headers.get(place)
        if value is not None:
            token = _token(value)
            if token:
                tokens[place] = token
    if query and "x-goog-api-key" not in headers:
        token = _token(next((text for name, text in parse_qsl(query) if name == "key"), ""))
        if token:
            tokens["x-goog-api-key"] = token
    if SUBPROTOCOLS in headers and "authorization" not in tokens:
        offered = (one.strip() for one in headers[SUBPROTOCOLS].split(","))
        token = next((one.removeprefix(IN_SUBPROTOCOL) for one in offered if one.startswith(IN_SUBPROTOCOL)), "")
        if token:
            tokens["authorization"] = token
    own = ""
    if ALONE in headers:
        alone = tokens.pop(ALONE, "")
        own = next(iter(tokens.values()), "")
        tokens = {ALONE: alone} if alone else {}
    return Credentials(tokens, client_address, headers, own, certificate)


def _token(value: str) -> str:
    words = value.split()
    while words and words[0].lower() == "bearer":
        words.pop(0)
    return words[0] if len(words) == 1 else ""
