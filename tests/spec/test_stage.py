"""A stage is made with its config, and its life may be left as it is."""

from __future__ import annotations

from llmgate.spec import Logger, NoConfig, Record


class Silent(Logger[NoConfig]):
    name = "silent"

    async def record(self, record: Record) -> None:
        pass


async def test_a_stage_keeps_its_config_and_opens_and_closes_without_doing_anything(fake_clock):
    config = NoConfig()
    stage = Silent(config)
    assert stage.config is config
    await stage.open(None)
    await stage.flush()
    await stage.aclose()
    await stage.aclose()
