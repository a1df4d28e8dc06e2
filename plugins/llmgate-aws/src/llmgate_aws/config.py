"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal

import attrs

from llmgate.spec import Batching, SecretCaching, SecretRef, a_service

__all__ = ["AwsConfig", "AwsSecretsConfig", "S3Config"]

_REGION: Final = re.compile(r"[a-z0-9-]{1,32}")
_STAGE: Final = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,256}")
_PROFILE: Final = re.compile(r"[A-Za-z0-9_.@+=,-]{1,128}")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX: Final = re.compile(r"([A-Za-z0-9_.-]+/)*")
_KMS_KEY: Final = re.compile(r"[A-Za-z0-9:/_-]{1,256}")
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


def _a_bucket(_: object, field: attrs.Attribute[Any], bucket: str) -> None:
    if not _BUCKET.fullmatch(bucket):
        raise ValueError("bucket: write its name: 3 to 63 lower-case letters, digits, hyphens and dots", field)


def _a_prefix(_: object, field: attrs.Attribute[Any], prefix: str) -> None:
    if not _PREFIX.fullmatch(prefix) or len(prefix) > 512:
        raise ValueError("prefix: write folders that end in /, of letters, digits, _, . and -: llmgate/prod/", field)


def _a_kms_key(_: object, field: attrs.Attribute[Any], key: str | None) -> None:
    if key is not None and not _KMS_KEY.fullmatch(key):
        raise ValueError("kms-key: write the id, the ARN or the alias of a key of KMS's", field)


def _an_s3_endpoint(instance: object, field: attrs.Attribute[Any], endpoint: str | None) -> None:
    a_service(instance, field, endpoint)
    if endpoint is not None and not _ENDPOINT.fullmatch(endpoint):
        raise ValueError("endpoint: write https:// and a host, without a path", field)


@attrs.frozen
class S3Config:
    """The keys of ``s3``.

    Args:
        bucket: Where records are put.
        prefix: What stands before their names, ``llmgate/`` for example.
        layout: ``batches`` for an object of many lines each, ``records`` for one an exchange.
        kms_key: The key of KMS's that objects are encrypted with; None for what the bucket does.
        region: Where the bucket is; None for ``AWS_REGION``, ``AWS_DEFAULT_REGION`` or the profile's.
        profile: The profile of AWS's shared files; None for what AWS's own tools find.
        credentials: Where AWS's credentials are kept as a secret; None for what AWS's own tools find.
        endpoint: Another service that speaks S3's protocol; None for AWS's own.
        path_style: Whether the bucket is named in the path, as most other services want it, and not in the host.
        identity_timeout: Seconds that looking for credentials may take.
        batch: How many records are put at once, and how long they wait while nobody takes them.
    """

    bucket: str = attrs.field(validator=_a_bucket)
    prefix: str = attrs.field(default="", validator=_a_prefix)
    layout: Literal["batches", "records"] = attrs.field(
        default="batches", validator=attrs.validators.in_(("batches", "records"))
    )
    kms_key: str | None = attrs.field(default=None, validator=_a_kms_key)
    region: str | None = attrs.field(default=None, validator=_a_region)
    profile: str | None = attrs.field(default=None, validator=_a_profile)
    credentials: SecretRef | None = None
    endpoint: str | None = attrs.field(default=None, validator=_an_s3_endpoint)
    path_style: bool = False
    identity_timeout: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))
    batch: Batching = Batching(records=5000)
