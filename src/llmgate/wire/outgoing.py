"""The last check before bytes leave: where they go and what their head says.

Credentials travel in headers, so the address decides who gets them. An adapter builds the address partly from data (a
model's name, a path); whatever went wrong there, a request leaves for the configured origin or not at all.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from yarl import URL

from llmgate.spec import ProviderConnectionError, ProviderProtocolError, ProviderRequest

__all__ = ["checked_headers", "checked_url"]

_PRINTABLE: Final = re.compile(r"[!-\[\]-~]+")  # ASCII without space, control characters and backslash
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110, 5.6.2, in lower case
_FORBIDDEN_IN_VALUE: Final = re.compile(r"[^\t -~\x80-\xff]")
_FRAMING: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def checked_url(request: ProviderRequest) -> URL:
    """The address of a request, byte for byte as the adapter built it (and signed it), once it is seen to be safe.

    Raises:
        ProviderConnectionError: it is not within ``request.origin``; nothing has been sent.
    """
    try:
        return _within_origin(request.url, request.origin)
    except ValueError as exc:
        reason = str(exc)
    raise ProviderConnectionError(
        f"nothing was sent to provider {request.provider_name}: {reason}",
        provider_name=request.provider_name,
        code="provider_address_refused",
    )


@functools.lru_cache(maxsize=1024)
def _within_origin(url: str, origin: str) -> URL:
    """Parse an address once, with the parser that the client uses.

    Raises:
        ValueError: why it is refused; the text names no part of it.
    """
    target = _parsed(url)
    if not origin or _origin_of(target) != _origin_of(_parsed(origin)):
        raise ValueError("its address is outside the provider's configured origin")
    return target


def _parsed(text: str) -> URL:
    if _PRINTABLE.fullmatch(text) is None or "#" in text:
        raise ValueError("its address holds characters that must be percent-encoded")
    try:
        url = URL(text, encoded=True)
    except ValueError:  # its message quotes the address
        raise ValueError("its address is malformed") from None
    if url.scheme not in {"http", "https"}:
        raise ValueError("its address is neither http nor https")
    if "@" in url.raw_authority:
        raise ValueError("its address holds user information")
    if url.raw_host is None or _HOST.fullmatch(url.raw_host) is None:
        raise ValueError("its address names no host, or one that is not plain ASCII")
    return url


def _origin_of(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.raw_host and url.raw_host.lower(), url.port


def checked_headers(request: ProviderRequest, url: URL, user_agent: str) -> dict[str, str]:
    """The headers of a request: those given, and what the wire says for itself.

    A header that HTTP cannot carry is nobody's request field and no failure of the network: most often it is a
    credential with a line end in it. So it is a ``ProviderProtocolError`` that names the header: 502, not to be
    repeated, and never a 400 that would blame the caller.

    Raises:
        ProviderProtocolError: a header is not allowed in HTTP, or not the adapter's to set; nothing has been sent.
    """
    given = request.headers
    names = "".join(given)
    if names != names.lower():
        given = {name.lower(): value for name, value in given.items()}
        names = "".join(given)
    values = "".join(given.values())
    if (
        "" in given
        or (names and _TOKEN.fullmatch(names) is None)
        or _FORBIDDEN_IN_VALUE.search(values) is not None
        or not _FRAMING.isdisjoint(given)
    ):
        given = {name: value for name, value in given.items() if _is_ours_to_pass(request, url, name, value)}
    # The body must come as it is: the reader of a stream cannot wait for a compressor's blocks.
    return {"accept": "*/*", "user-agent": user_agent, **given, "accept-encoding": "identity"}


def _is_ours_to_pass(request: ProviderRequest, url: URL, name: str, value: str) -> bool:
    """Whether a header goes out as given; False for one that says what the wire says anyway (a signed ``host``)."""
    if _TOKEN.fullmatch(name) is None or _FORBIDDEN_IN_VALUE.search(value) is not None:
        remedy = (
            "holds a character that HTTP does not allow; look for a line end in the credential or the configuration"
        )
    elif name not in _FRAMING:
        return True
    elif (name == "host" and value == url.host_port_subcomponent) or (
        name == "content-length"
        and value == str(len(request.body or b"") if request.upload is None else request.upload.length)
    ):
        return False
    else:
        remedy = "is the connection's own; remove it from the provider's configured headers"
    raise ProviderProtocolError(
        f"nothing was sent to provider {request.provider_name}: its request header {name[:80]!r} {remedy}",
        provider_name=request.provider_name,
        code="provider_request_refused",
    )
