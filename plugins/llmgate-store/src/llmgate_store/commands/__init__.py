"""The commands that look after what is in the database: ``llmgate keys …``, ``vault …``, ``db …``."""

from __future__ import annotations

from collections.abc import Sequence

from llmgate.spec import Command, hookimpl

from .database import DbStatus, DbUpgrade
from .key_changes import KeysCreate, KeysRevoke, KeysRotate
from .key_lists import KeysList, KeysShow
from .vault import VaultList, VaultPut, VaultRekey, VaultRemove

__all__ = ["llmgate_register_commands"]


@hookimpl
def llmgate_register_commands() -> Sequence[type[Command]]:
    """Every command."""
    keys = [KeysCreate, KeysList, KeysShow, KeysRotate, KeysRevoke]
    return [*keys, VaultPut, VaultList, VaultRemove, VaultRekey, DbUpgrade, DbStatus]
