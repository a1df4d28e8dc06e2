"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

import attrs

from llmgate.spec import Batching, SecretRef, a_service

__all__ = ["HeliconeConfig"]


@attrs.frozen
class HeliconeConfig:
    """The keys of ``helicone``.

    Args:
        url: Where Helicone takes logs: its worker, or that of an installation of your own.
        api_key: The key of the organisation that the records belong to.
        parallel: Records that are under way at once; Helicone takes one a request.
        batch: How many records wait, and how long.
    """

    url: str = attrs.field(default="https://api.worker.helicone.ai", validator=a_service)
    api_key: SecretRef = SecretRef("env", "HELICONE_API_KEY")
    parallel: int = attrs.field(default=8, validator=[attrs.validators.ge(1), attrs.validators.le(64)])
    batch: Batching = Batching(records=100)
