"""What secret stores that call a service have in common: a call whose every failure is named, and a key of a secret.

A store answers for a reference, so each failure says whose it is. Nothing that a service sends is put into a message
but for what a store picks out of it on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from .deployments import Timeouts
from .errors import (
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    SecretNotFoundError,
    SecretUnavailableError,
)
from .identity import SecretRef
from .transport import ProviderRequest, Transport

__all__ = ["SecretService", "ServiceAnswer", "secret_field", "split_field"]

MOST_BYTES: Final = 1024 * 1024
"""Upper bound of an answer; the largest secret of any of the services is a quarter of it."""


@attrs.frozen
class ServiceAnswer:
    """What a service has answered.

    Args:
        status: The HTTP status.
        headers: Its headers, lower-case names.
        value: The JSON that it sent, None where it sent none.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    value: Any = attrs.field(default=None, repr=False)

    def at(self, *names: str) -> Any:
        """What stands at the end of a path of names in the JSON; None where there is nothing."""
        value = self.value
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value


@attrs.frozen
class SecretService:
    """The service behind a secret store.

    Args:
        name: What messages call it.
        address: ``scheme://host[:port]`` and a path, if it has one, without a slash at its end.
        transport: HTTP out.
        timeout: Seconds that a call may take, connecting aside.
        authorities: Certificates (PEM) that its own is checked against; None for those of the system.
    """

    name: str
    address: str
    transport: Transport
    timeout: float = 5.0
    authorities: str | None = attrs.field(default=None, repr=False)

    async def ask(
        self,
        ref: SecretRef,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> ServiceAnswer:
        """Make a call.

        Args:
            ref: Which secret it is for.
            method: The HTTP method.
            path: What stands behind the address, percent-encoded.
            headers: Headers, lower-case names.
            body: What is sent, None for nothing.

        Raises:
            SecretUnavailableError: there is no answer.
        """
        try:
            response = await self.transport.send(self.request(method, path, headers or {}, body))
        except ProviderTimeoutError:
            reason = "does not answer in time"
        except ProviderConnectionError as error:
            reason = f"cannot be reached ({error.code}): check its address, and that it is running"
        except ProviderError as error:
            reason = f"cannot be understood ({error.code})"
        else:
            return ServiceAnswer(response.status, response.headers, _json(response.body))
        raise SecretUnavailableError(f"{ref}: {self.name} {reason}")

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        idle: float | None = None,
    ) -> ProviderRequest:
        """A call that is ready to be sent; ``idle`` are the seconds between two pieces of an answer that goes on."""
        parts = urlsplit(self.address)
        return ProviderRequest(
            method=method,
            url=self.address + path,
            headers={"accept": "application/json", **headers},
            body=body,
            provider_name=self.name,
            origin=f"{parts.scheme}://{parts.netloc}",
            pool=f"secrets {self.name} {parts.netloc}",
            timeouts=Timeouts(connect=min(self.timeout, 5.0), first_byte=self.timeout, idle=idle or self.timeout),
            max_body_bytes=MOST_BYTES,
            authorities=self.authorities,
        )

    def failed(self, ref: SecretRef, answer: ServiceAnswer, reason: str = "") -> SecretUnavailableError:
        """The error behind an answer that is none.

        Args:
            ref: Which secret was asked for.
            answer: What came.
            reason: What to say beyond its status.
        """
        return SecretUnavailableError(f"{ref}: {self.name} answers {answer.status}{reason and f': {reason}'}")


def split_field(ref: SecretRef) -> tuple[str, str | None]:
    """The name of a secret and the field of it that a reference means: ``name#field``; None for all of it."""
    name, mark, field = ref.path.partition("#")
    return name, field if mark else None


def secret_field(ref: SecretRef, value: Any, field: str | None) -> str:
    """The field of a secret that a reference means, as text.

    Args:
        ref: The reference.
        value: The secret: its text, or the object that it is.
        field: The field; None for all of it.

    Raises:
        SecretNotFoundError: there is no such field.
    """
    if field is None and isinstance(value, str):
        return value
    fields = _json(value.encode()) if isinstance(value, str) else value
    if field is not None and not isinstance(fields, dict):
        raise SecretNotFoundError(f"{ref}: the secret is no JSON object, so it has no field {field!r}: write no #")
    if field is None:
        return json.dumps(fields)
    if field not in fields or fields[field] is None:
        raise SecretNotFoundError(f"{ref}: the secret has no field {field!r}: correct the name behind #")
    found = fields[field]
    return found if isinstance(found, str) else json.dumps(found)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None
