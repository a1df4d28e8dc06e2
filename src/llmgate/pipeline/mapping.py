"""The look for prices that are missing: providers are asked, and records that waited for a price are reckoned anew."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.spec import CostFiller, GatewayError

from .listing import keep_listing, lists_path, save_lists
from .repricing import repriced

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["fill_costs", "keep_models"]

log = logging.getLogger("llmgate.prices")


async def fill_costs(pipeline: Pipeline) -> Mapping[str, int]:
    """Have loggers write anew what exchanges cost that waited for a price, as far as it can be reckoned now.

    Args:
        pipeline: Whose loggers, open.

    Returns:
        How many records have been written anew, by what the configuration calls the logger; those that cannot are not
        among them.
    """
    filled: dict[str, int] = {}
    pin = pipeline.pin()
    try:
        snapshot = pipeline.snapshot
        for placed in snapshot.placed:
            reader = placed.stage
            if not (isinstance(reader, CostFiller) and reader.fills_costs):
                continue
            try:
                filled[placed.entry.id] = await reader.fill_costs(lambda record: repriced(record, snapshot.providers))
            except GatewayError as away:
                log.warning("%s: costs are not filled in now: %s", placed.entry.id, away)
    finally:
        pin.release()
    return filled


async def keep_models(pipeline: Pipeline) -> None:
    """Ask providers for their lists, and fill in costs, as often as the configuration says; until cancelled."""
    settings = pipeline.config.model_lists
    async with asyncio.TaskGroup() as tasks:
        if settings.refresh > 0:
            path = lists_path(pipeline.config)
            tasks.create_task(keep_listing(pipeline, interval=settings.refresh, path=path), name="llmgate-lists")
        if settings.map_every > 0 and _keeps_costs(pipeline):
            tasks.create_task(_keep_mapping(pipeline, settings.map_every), name="llmgate-mapping")


def _keeps_costs(pipeline: Pipeline) -> bool:
    stages = [placed.stage for placed in pipeline.snapshot.placed]
    return any(isinstance(one, CostFiller) and one.fills_costs for one in stages)


async def _keep_mapping(pipeline: Pipeline, interval: float) -> None:
    while True:
        # First a wait: a gateway that is started anew every hour is not to ask everybody every hour.
        await pipeline.clock.sleep(interval * (1 + pipeline.clock.random() / 10))
        try:
            await _map(pipeline, lists_path(pipeline.config))
        except Exception:
            log.exception("prices that are missing could not be looked for")


async def _map(pipeline: Pipeline, path: Path | None) -> None:
    lists, failed = await pipeline.sync_models()
    for name, reason in failed.items():
        log.warning("provider %r gave no list of its models: %s", name, reason)
    if path is not None and lists:
        await asyncio.to_thread(save_lists, path, lists)
    for logger, count in (await fill_costs(pipeline)).items():
        if count:
            log.info("%s: %d records have a cost now", logger, count)
