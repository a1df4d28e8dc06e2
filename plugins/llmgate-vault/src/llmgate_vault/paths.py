"""Where a reference leads in Vault: ``mount/name`` of a KV engine, or a path that is read as it is.

Source: OpenBao, "KV secrets engine" (versions 1 and 2) and "/sys/internal/ui/mounts".
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import attrs

from llmgate.spec import SecretNotFoundError, SecretRef, split_field

__all__ = ["Mount", "VaultPath"]

_LONGEST: Final = 512


@attrs.frozen
class Mount:
    """Where an engine is mounted.

    Args:
        path: Its path, without slashes around it.
        kv: The version of the KV engine there; 0 for any other engine.
    """

    path: str
    kv: int


@attrs.frozen
class VaultPath:
    """What a reference names.

    Args:
        path: The path, as ``bao kv get`` takes it.
        field: The field of the secret; None where it has only one.
    """

    path: str
    field: str | None

    @classmethod
    def of(cls, ref: SecretRef) -> VaultPath:
        """Read a reference.

        Raises:
            SecretNotFoundError: it cannot be the path of a secret.
        """
        path, field = split_field(ref)
        parts = path.strip("/").split("/")
        if (
            len(parts) < 2
            or len(path) > _LONGEST
            or not path.isprintable()
            or any(part.strip() in ("", ".", "..") for part in parts)
        ):
            raise SecretNotFoundError(f"{ref}: write {ref.store}:MOUNT/NAME#FIELD, as in {ref.store}:kv/openai#api_key")
        return cls("/".join(parts), field)

    def request(self, mount: Mount) -> str:
        """The path of the API that the secret is read at, percent-encoded."""
        inner = self.path.removeprefix(mount.path).strip("/")
        path = f"{mount.path}/data/{inner}" if mount.kv == 2 else self.path
        return quote(path, safe="/")
