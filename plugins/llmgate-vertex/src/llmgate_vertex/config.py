"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

__all__ = ["SCOPE", "GoogleCredentialsConfig"]

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


@attrs.frozen
class GoogleCredentialsConfig:
    """The keys of ``google-credentials``.

    Args:
        scopes: What the tokens are good for.
        ahead: Seconds before its end from which on a token is renewed, beside the requests that still use it.
        timeout: Seconds that getting a token may take.
        pause: Seconds for which nobody is asked again after a failure.
    """

    scopes: Sequence[str] = attrs.field(default=(SCOPE,), validator=attrs.validators.min_len(1))
    ahead: float = attrs.field(default=300.0, validator=attrs.validators.ge(0))
    timeout: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))
    pause: float = attrs.field(default=5.0, validator=attrs.validators.ge(0))
