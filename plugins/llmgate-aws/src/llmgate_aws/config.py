"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import attrs

from llmgate.spec import SecretCaching, SecretRef

__all__ = ["AwsConfig", "AwsSecretsConfig"]

_REGION: Final = re.compile(r"[a-z0-9-]{1,32}")
_STAGE: Final = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,256}")
_PROFILE: Final = re.compile(r"[A-Za-z0-9_.@+=,-]{1,128}")
_ENDPOINT: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,253}")


def _a_region(_: object, field: attrs.Attribute[Any], region: str | None) -> None:
    if region is not None and not _REGION.fullmatch(region):
        raise ValueError("region: write it as AWS does, eu-central-1 for example", field)


def _regions(_: object, field: attrs.Attribute[Any], regions: Sequence[str]) -> None:
    if len(regions) > 4 or not all(_REGION.fullmatch(region) for region in regions):
        raise ValueError("replicas: write at most four regions as AWS does, eu-west-1 for example", field)


def _a_stage(_: object, field: attrs.Attribute[Any], stage: str) -> None:
    if not _STAGE.fullmatch(stage):
        raise ValueError("stage: write AWSCURRENT, AWSPREVIOUS, AWSPENDING or a label of your own", field)


def _a_profile(_: object, field: attrs.Attribute[Any], profile: str | None) -> None:
    if profile is not None and not _PROFILE.fullmatch(profile):
        raise ValueError("profile: write the name of a profile of AWS's", field)


def _an_endpoint(_: object, field: attrs.Attribute[Any], endpoint: str | None) -> None:
    if endpoint is not None and not _ENDPOINT.fullmatch(endpoint):
        raise ValueError("endpoint: write https:// and a host, that of a VPC endpoint for example", field)


@attrs.frozen
class AwsConfig:
    """The keys of ``aws-parameters``.

    Args:
        region: The region that is asked first; None for that of ``AWS_REGION``, ``AWS_DEFAULT_REGION`` or the profile.
        replicas: Regions that are asked in this order while the first does not answer.
        profile: The profile of AWS's shared files; None for what AWS's own tools find.
        credentials: Where AWS's credentials are kept as a secret, that of a store ``aws-credentials`` for example; None
            for what AWS's own tools find.
        endpoint: Where the service of the first region is; None for AWS's own address.
        timeout: Seconds that one region may take to answer.
        identity_timeout: Seconds that looking for credentials may take.
        cache: How long secrets are kept.
    """

    region: str | None = attrs.field(default=None, validator=_a_region)
    replicas: Sequence[str] = attrs.field(default=(), validator=_regions)
    profile: str | None = attrs.field(default=None, validator=_a_profile)
    credentials: SecretRef | None = None
    endpoint: str | None = attrs.field(default=None, validator=_an_endpoint)
    timeout: float = attrs.field(default=2.0, validator=attrs.validators.gt(0))
    identity_timeout: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))
    cache: SecretCaching = SecretCaching(timeout=15.0)


@attrs.frozen
class AwsSecretsConfig(AwsConfig):
    """The keys of ``aws-secrets``.

    Args:
        region: The region that is asked first; None for that of ``AWS_REGION``, ``AWS_DEFAULT_REGION`` or the profile.
        replicas: Regions that are asked in this order while the first does not answer.
        profile: The profile of AWS's shared files; None for what AWS's own tools find.
        credentials: Where AWS's credentials are kept as a secret, that of a store ``aws-credentials`` for example; None
            for what AWS's own tools find.
        endpoint: Where the service of the first region is; None for AWS's own address.
        timeout: Seconds that one region may take to answer.
        identity_timeout: Seconds that looking for credentials may take.
        cache: How long secrets are kept.
        stage: Which version of a secret is meant: ``AWSCURRENT``, ``AWSPREVIOUS``, ``AWSPENDING`` or another label.
    """

    stage: str = attrs.field(default="AWSCURRENT", validator=_a_stage)
