from __future__ import annotations

import pytest

from llmgate import ConfigError, GatewayClosedError
from llmgate.pipeline.credentials import SecretBroker
from llmgate.pipeline.links import StageLink
from llmgate.spec import NoConfig, Secret, SecretRef, SecretStore
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock

REF = SecretRef("kept", "key")


class Kept(SecretStore[NoConfig]):
    name = "kept"

    def __init__(self, value: str) -> None:
        super().__init__(NoConfig())
        self.value = value

    async def fetch(self, ref: SecretRef) -> Secret:
        return Secret(self.value, ref)


def broker(value: str) -> SecretBroker:
    return SecretBroker({"kept": Kept(value)}, FakeClock())


async def test_a_link_leads_to_the_stores_it_was_turned_to_last() -> None:
    link = StageLink()
    link.lead_to(broker("old"), {})
    assert (await link.fetch_secret(REF)).reveal() == "old"
    link.lead_to(broker("new"), {})
    assert (await link.fetch_secret(REF)).reveal() == "new"


async def test_a_link_that_leads_nowhere_says_so() -> None:
    with pytest.raises(GatewayClosedError, match="kept:key"):
        await StageLink().fetch_secret(REF)


async def test_a_link_remembers_which_stores_were_used() -> None:
    link = StageLink()
    link.lead_to(broker("x"), {"memory": Memory(MemoryConfig())})
    assert not link.uses_any({("secrets", "kept"), ("state", "memory")})
    await link.fetch_secret(REF)
    assert link.uses_any({("secrets", "kept")})
    assert not link.uses_any({("state", "kept"), ("state", "memory")})
    link.state("memory")
    assert link.uses_any({("state", "memory")})


def test_a_state_store_that_is_not_there_is_named() -> None:
    link = StageLink()
    link.lead_to(broker("x"), {"memory": Memory(MemoryConfig())})
    with pytest.raises(ConfigError, match=r"'redis' is not configured.* memory"):
        link.state("redis")
    assert link.uses_any({("state", "redis")}), "a store that is added later is one that changed"
