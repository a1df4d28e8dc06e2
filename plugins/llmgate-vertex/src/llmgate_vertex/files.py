"""Files of credentials: each kind is read by Google's own code for it.

Source: Google, "Application Default Credentials" and "Workload identity federation" (the ``type`` of a file).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from google.auth import aws, external_account_authorized_user, identity_pool, impersonated_credentials, pluggable
from google.oauth2 import credentials as users, service_account

from llmgate.codecs.jsons import JSONError, loads

__all__ = ["credentials_in"]

_Load: TypeAlias = Callable[[Mapping[str, Any], Sequence[str]], Any]

_AWS: Final = "urn:ietf:params:aws:token-type:aws4_request"


def credentials_in(file: Path, scopes: Sequence[str]) -> Any:
    """The credentials in a file, in Google's own classes.

    Args:
        file: The file.
        scopes: What the tokens are to be good for.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no credentials.
        google.auth.exceptions.GoogleAuthError: its kind is known and something is wrong with it.
    """
    try:
        info = loads(file.read_bytes())
    except JSONError as error:
        raise ValueError(str(error)) from None
    kind = info.get("type") if isinstance(info, dict) else None
    load = _LOADERS.get(kind) if isinstance(kind, str) else None
    if load is None:
        raise ValueError(f"its type is none of {', '.join(_LOADERS)}")
    try:
        return load(info, scopes)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"something is missing in it ({type(error).__name__})") from None


def _federation(info: Mapping[str, Any], scopes: Sequence[str]) -> Any:
    """Workload identity: of AWS, by a program, or by a token in a file or at an address."""
    if info.get("subject_token_type") == _AWS:
        return aws.Credentials.from_info(info, scopes=scopes)
    if "executable" in info.get("credential_source", {}):
        return pluggable.Credentials.from_info(info, scopes=scopes)
    return identity_pool.Credentials.from_info(info, scopes=scopes)


def _service_account(info: Mapping[str, Any], scopes: Sequence[str]) -> Any:
    return service_account.Credentials.from_service_account_info(info, scopes=scopes)


def _user(info: Mapping[str, Any], scopes: Sequence[str]) -> Any:
    return users.Credentials.from_authorized_user_info(info, scopes=scopes)


def _federated_user(info: Mapping[str, Any], scopes: Sequence[str]) -> Any:  # noqa: ARG001 - it brings its own
    return external_account_authorized_user.Credentials.from_info(info)


def _impersonation(info: Mapping[str, Any], scopes: Sequence[str]) -> Any:
    return impersonated_credentials.Credentials.from_impersonated_service_account_info(info, scopes=scopes)


_LOADERS: Final[Mapping[str, _Load]] = {
    "service_account": _service_account,
    "external_account": _federation,
    "external_account_authorized_user": _federated_user,
    "impersonated_service_account": _impersonation,
    "authorized_user": _user,
}
