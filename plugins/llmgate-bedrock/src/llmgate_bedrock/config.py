"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

__all__ = ["AwsCredentialsConfig", "BedrockSigV4Config"]

_REGION: Final = re.compile(r"[a-z0-9-]{1,32}")


def _a_region(_: object, __: Any, region: str | None) -> None:
    if region is not None and not _REGION.fullmatch(region):
        raise ValueError("region: write it as AWS does, eu-central-1 for example")


@attrs.frozen
class BedrockSigV4Config:
    """The keys of ``bedrock-sigv4``.

    Args:
        region: The region that requests are signed for; None for that of the provider's address.
    """

    region: str | None = attrs.field(default=None, validator=_a_region)


@attrs.frozen
class AwsCredentialsConfig:
    """The keys of ``aws-credentials``.

    Args:
        refresh: Seconds after which the credentials are looked at again.
        timeout: Seconds that looking for credentials may take.
        metadata_timeout: Seconds that the metadata service of an instance may take to answer, once.
    """

    refresh: float = attrs.field(default=30.0, validator=attrs.validators.ge(0))
    timeout: float = attrs.field(default=5.0, validator=attrs.validators.gt(0))
    metadata_timeout: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
