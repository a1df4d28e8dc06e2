"""The errors of llmgate, classed by who must act.

GatewayError
├── ConfigError                    operator: the configuration is wrong (every problem is in ``problems``)
├── PluginError                    operator: a plugin cannot be imported, registered or opened
├── SecretNotFoundError            operator: a secret reference leads nowhere
│   └── SecretUnavailableError     operator: the store of a secret does not answer, or refuses to
├── InvalidRequestError            caller: 400, the request cannot be understood or is not allowed as written
│   └── RequestTooLargeError       caller: 413
├── AuthenticationError            caller: 401
├── PermissionDeniedError          caller: 403
├── ModelNotFoundError             caller: 404
├── RateLimitError                 caller: 429
├── BudgetExceededError            caller: 402
├── NoDeploymentError              503, nothing can serve the request now
├── OverloadedError                503, the gateway itself has too much to do
├── GatewayTimeoutError            504, the request's own deadline has passed
├── GatewayClosedError             503, the Pipeline is closing or was never opened
└── ProviderError                  upstream answered with an error, or not at all
    ├── ProviderTimeoutError       504, no answer in time
    ├── ProviderConnectionError    502, not reachable, or the connection broke
    ├── ProviderRateLimitError     429, the provider limits us
    ├── ProviderAuthenticationError  502, the provider refuses the gateway's credential
    └── ProviderProtocolError      502, the answer is not what the wire format allows

Messages are lower case, name the thing and the remedy, and never contain a secret, an internal URL or a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

__all__ = [
    "AuthenticationError",
    "BudgetExceededError",
    "ConfigError",
    "GatewayClosedError",
    "GatewayError",
    "GatewayTimeoutError",
    "InvalidRequestError",
    "ModelNotFoundError",
    "NoDeploymentError",
    "OverloadedError",
    "PermissionDeniedError",
    "PluginError",
    "ProviderAuthenticationError",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderProtocolError",
    "ProviderRateLimitError",
    "ProviderTimeoutError",
    "RateLimitError",
    "RequestTooLargeError",
    "SecretNotFoundError",
    "SecretUnavailableError",
]


class GatewayError(Exception):
    """Base of every error that llmgate raises on purpose.

    Args:
        message: What went wrong and what to do about it, lower case, without a full stop.
        code: A stable word for programs; each class has a default.
        param: The request field that is to blame, if one is.
        retry_after: Seconds after which a repeat may succeed, where that is known.
    """

    status_code: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.param = param
        self.retry_after = retry_after
        self.request_id: str | None = None
        """What the answer calls the request; a surface sets it for the wire formats that write it into the body."""

    @property
    def http_status(self) -> int:
        """The HTTP status that a surface answers with."""
        return self.status_code


class ConfigError(GatewayError):
    """The configuration is wrong; ``problems`` holds one ``file:line:column: sentence`` each."""

    default_code = "config_error"

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        self.problems: tuple[str, ...] = tuple(problems) or (message,)
        super().__init__("\n".join(self.problems) if problems else message)


class PluginError(GatewayError):
    """A plugin cannot be imported, registered or opened; the message names it and its distribution."""

    default_code = "plugin_error"


class SecretNotFoundError(GatewayError):
    """A secret reference leads nowhere; the message names the reference, never a value."""

    default_code = "secret_not_found"


class SecretUnavailableError(SecretNotFoundError):
    """The store of a secret does not answer, or refuses to: whether it is there is not known, and its last value holds.

    The message names the reference, never a value.
    """

    default_code = "secret_unavailable"


class InvalidRequestError(GatewayError):
    """The request cannot be understood, or is not allowed as written (400)."""

    status_code = 400
    default_code = "invalid_request"


class RequestTooLargeError(InvalidRequestError):
    """The request body is larger than the configured limit (413)."""

    status_code = 413
    default_code = "request_too_large"


class AuthenticationError(GatewayError):
    """The caller is not who it claims to be, or says nothing (401); all such answers look alike.

    Args:
        message: What the caller is told.
        reason: Why, for the record only; it never reaches the caller.
    """

    status_code = 401
    default_code = "invalid_api_key"

    def __init__(self, message: str = "invalid credentials", *, reason: str = "", code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.reason = reason or message


class PermissionDeniedError(GatewayError):
    """The caller is known and may not do this (403)."""

    status_code = 403
    default_code = "permission_denied"


class ModelNotFoundError(GatewayError):
    """No router, provider or alias knows the model asked for (404)."""

    status_code = 404
    default_code = "model_not_found"


class RateLimitError(GatewayError):
    """The caller has spent its rate (429); ``retry_after`` says when it may try again."""

    status_code = 429
    default_code = "rate_limit_exceeded"


class BudgetExceededError(GatewayError):
    """The caller's budget is spent (402)."""

    status_code = 402
    default_code = "budget_exceeded"


class NoDeploymentError(GatewayError):
    """No deployment can serve the request now (503)."""

    status_code = 503
    default_code = "no_deployment"


class OverloadedError(GatewayError):
    """The gateway itself has too much to do (503); ``retry_after`` says when to come back."""

    status_code = 503
    default_code = "overloaded"


class GatewayTimeoutError(GatewayError):
    """The request's own deadline has passed (504)."""

    status_code = 504
    default_code = "deadline_exceeded"


class GatewayClosedError(GatewayError):
    """The Pipeline is closing, closed, or was never opened (503)."""

    status_code = 503
    default_code = "gateway_closed"


class ProviderError(GatewayError):
    """A provider answered with an error, or not at all.

    Args:
        message: What happened, naming the provider.
        provider_name: The provider that failed.
        upstream_status: The HTTP status that the provider sent; None when it sent none.
        body: The provider's own error body, for a caller who speaks the same wire format; None when there is none or
            when it must not be shown.
        headers: Response headers of the provider that may be shown (lower-case names).
        retryable: Whether another attempt, here or elsewhere, may succeed.
        code: A stable word for programs.
        param: The request field that the provider blames.
        retry_after: Seconds that the provider asks us to wait.
        lost: Whether the request went out and no whole answer came back, so that nobody knows whether the provider has
            worked on it.
    """

    status_code = 502
    default_code = "provider_error"
    repeated: bool = False
    """Whether the gateway has repeated the request itself, so that a client's own repeats would multiply these."""

    def __init__(
        self,
        message: str,
        *,
        provider_name: str = "",
        upstream_status: int | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        retryable: bool = False,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        lost: bool = False,
    ) -> None:
        super().__init__(message, code=code, param=param, retry_after=retry_after)
        self.lost = lost
        self.provider_name = provider_name
        self.upstream_status = upstream_status
        self.body = body
        self.headers: Mapping[str, str] = headers or {}
        self.retryable = retryable

    def withhold(self) -> None:
        """Keep the provider's own words from the caller, who speaks another wire format."""
        self.body = None
        self.headers = {}

    @property
    def http_status(self) -> int:
        """The provider's own status where it sent an error status, else 502."""
        status = self.upstream_status
        return status if status is not None and 400 <= status <= 599 else self.status_code


class ProviderTimeoutError(ProviderError):
    """The provider did not answer in time (504)."""

    status_code = 504
    default_code = "provider_timeout"


class ProviderConnectionError(ProviderError):
    """The provider cannot be reached, or the connection broke (502)."""

    status_code = 502
    default_code = "provider_unreachable"


class ProviderRateLimitError(ProviderError):
    """The provider limits the gateway's credential (429)."""

    status_code = 429
    default_code = "provider_rate_limited"


class ProviderAuthenticationError(ProviderError):
    """The provider refuses the gateway's own credential (502): the caller's key is fine, the operator must act.

    The vendor's text is withheld, since it shows fragments of the key.
    """

    status_code = 502
    default_code = "provider_authentication_failed"

    @property
    def http_status(self) -> int:
        """Always 502: a 401 would tell the caller that its own key is wrong."""
        return self.status_code


class ProviderProtocolError(ProviderError):
    """The provider's answer is not what its wire format allows, or ended before its terminal marker (502)."""

    status_code = 502
    default_code = "provider_protocol_error"

    @property
    def http_status(self) -> int:
        """Always 502: the status that came with a broken answer says nothing."""
        return self.status_code
