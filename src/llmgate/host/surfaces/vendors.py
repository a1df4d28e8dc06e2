"""Hosts of their own for vendors: ``oai.llm.example.com`` is OpenAI's API under the gateway's base domain.

Whatever stands in the path is the vendor's own. A vendor that is configured is reached as by its direct relay, with the
operator's key or the one that the caller brings; another one at its public address, with the caller's own key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from llmgate.catalogue import provider_rows
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.errors import RefusedError
from llmgate.spec import Provider, ProviderRow

from . import passthrough
from .targets import send_to

if TYPE_CHECKING:
    from llmgate.pipeline import ExchangeFrame

__all__ = ["OWN_PATHS", "host_name", "serve_vendor", "vendor_hosts"]

OWN_PATHS: Final = frozenset({"/health", "/ready"})
"""What load balancers ask the gateway itself, whatever host they name."""

_PORT: Final = re.compile(r":[0-9]{1,5}$")


def vendor_hosts(base_domain: str) -> Mapping[str, Endpoint]:
    """What serves each vendor's host, lower case.

    Args:
        base_domain: The domain that they stand below; ``""`` for none.
    """
    base = base_domain.strip(".").lower()
    if not base:
        return {}
    return {f"{row.subdomain}.{base}": _endpoint(row) for row in provider_rows().values() if row.subdomain}


def host_name(headers: Mapping[str, str]) -> str:
    """The host that a request names, lower case, without port and trailing dot."""
    return _PORT.sub("", headers.get("host", "")).lower().removesuffix(".")


async def serve_vendor(call: Call, row: ProviderRow) -> None:
    """Serve a request for a vendor.

    Args:
        call: The request.
        row: Whose host it came to.

    Raises:
        RefusedError: 404, the vendor has no address that everybody shares, and none is configured.
        GatewayError: as the direct relay, or as a target.
    """
    provider = _configured(call, row)
    if provider is None:
        if row.base_url is None:
            raise RefusedError(
                404, f"{row.title} is not configured: write {row.name} under providers", code="provider_not_found"
            )
        await send_to(call, row.base_url, row.title)
        return
    call.aim = _with_own_key
    await passthrough.relay(call, provider, call.raw_path.strip("/"))


def _configured(call: Call, row: ProviderRow) -> Provider | None:
    providers = call.desk.pipeline.snapshot.providers
    return providers.get(row.name) or next((one for one in providers.values() if one.row.name == row.name), None)


def _with_own_key(frame: ExchangeFrame) -> None:
    """A key that the caller brings beside the gateway's is for the vendor whose host he calls."""
    frame.own_key = True


def _endpoint(row: ProviderRow) -> Endpoint:
    async def serve(call: Call) -> None:
        await serve_vendor(call, row)

    return Endpoint(None, serve)
