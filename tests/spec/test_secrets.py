from __future__ import annotations

from typing import Any

from llmgate.spec import NoConfig, Secret, SecretRef, SecretStore


class Uncached(SecretStore[Any]):
    name = "uncached"

    async def fetch(self, ref: SecretRef) -> Secret:
        return Secret("value", ref=ref)


async def test_a_store_that_caches_nothing_has_nothing_to_refresh() -> None:
    ref = SecretRef("uncached", "x")
    assert (await Uncached(NoConfig()).refresh(ref)).reveal() == "value"
