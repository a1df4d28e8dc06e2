"""Asks providers which models they have, and keeps what they said with its source and date."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from llmgate.config.model import GatewayConfig
from llmgate.formats import get_format
from llmgate.formats.model_lists import read_model_page
from llmgate.spec import (
    AttemptCall,
    ConfigError,
    Deployment,
    GatewayError,
    ListedModel,
    Operation,
    PriceRow,
    Provider,
    ProviderProtocolError,
    RelayBody,
    RelayTarget,
    Secret,
)

from .credentials import SecretBroker
from .listed_prices import read_rates, read_rows, write_rows
from .snapshot import ProviderRuntime, Snapshot

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["ModelList", "ask_for_models", "keep_listing", "lists_path", "load_lists", "reading_call", "save_lists"]

log = logging.getLogger("llmgate.models")

MOST_PAGES: Final = 50
"""Pages of one list that are read; the longest known has six."""

LARGEST_PAGE: Final = 16 * 1024 * 1024
AT_ONCE: Final = 4
"""Providers that are asked at the same time."""


@attrs.frozen
class ModelList:
    """What a provider says it has.

    Args:
        source: The address that was asked.
        date: When, as an ISO date and time in UTC.
        models: The models, in the provider's order.
        prices: What they have cost by this and former lists, where that differs from the catalogue: rows by date.
    """

    source: str
    date: str
    models: Sequence[ListedModel]
    prices: Mapping[str, Sequence[PriceRow]] = attrs.field(factory=dict, repr=False)


async def ask_for_models(
    snapshot: Snapshot, secrets: SecretBroker, now: float
) -> tuple[Mapping[str, ModelList], Mapping[str, str]]:
    """Ask every configured provider that keeps a list of its models and whose credential is there.

    Args:
        snapshot: What is configured.
        secrets: The secret stores.
        now: Seconds since the epoch.

    Returns:
        The lists by the provider's name, and for those that gave none, why.
    """
    turns = asyncio.Semaphore(AT_ONCE)
    failed: dict[str, str] = {}
    found: dict[str, ModelList] = {}

    async def ask(runtime: ProviderRuntime) -> None:
        name = runtime.provider.name
        async with turns:
            try:
                found[name] = await _ask(runtime, secrets, now)
            except GatewayError as error:
                failed[name] = error.message

    asked = [name for name, provider in snapshot.providers.items() if _keeps_list(provider)]
    await asyncio.gather(*(ask(snapshot.runtimes[snapshot.providers[name]]) for name in asked))
    return {name: found[name] for name in asked if name in found}, failed


def lists_path(config: GatewayConfig) -> Path | None:
    """The file that keeps the lists, None where the configuration names none."""
    return config.directory / config.model_lists.file if config.model_lists.file else None


def load_lists(path: Path) -> Mapping[str, ModelList]:
    """The lists that a file keeps; none when there is no such file.

    Raises:
        ConfigError: the file is not one of ``save_lists``.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return {name: _loaded(one) for name, one in value["providers"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{path}: not a file of model lists ({error}): delete it, and write it anew with `llmgate models sync`"
        ) from None


def save_lists(path: Path, lists: Mapping[str, ModelList]) -> None:
    """Write the lists to a file, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    # Late: only who writes the file needs it.
    import tempfile

    value = {"providers": {name: _saved(one) for name, one in lists.items()}}
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


async def keep_listing(pipeline: Pipeline, *, interval: float, path: Path | None) -> None:
    """Ask now and then again and again, until cancelled; a provider that gives no list keeps the one it gave before.

    Args:
        pipeline: Whose providers are asked, and who is told.
        interval: Seconds between two rounds; a tenth of it, by chance, keeps many gateways from asking together.
        path: The file that keeps the lists, None for none.
    """
    while True:
        try:
            lists, failed = await pipeline.sync_models()
            for name, reason in failed.items():
                log.warning("provider %r gave no list of its models: %s", name, reason)
            if path is not None and lists:
                await asyncio.to_thread(save_lists, path, lists)
        except Exception:
            log.exception("the lists of models could not be renewed")
        await pipeline.clock.sleep(interval * (1 + pipeline.clock.random() / 10))


def reading_call(deployment: Deployment, secret: Secret | None, target: RelayTarget, now: float) -> AttemptCall:
    """What an adapter builds a request from that asks a provider for something and sends it nothing.

    Args:
        deployment: Who is asked.
        secret: With which credential.
        target: For what.
        now: Seconds since the epoch.
    """
    return AttemptCall(
        operation=Operation.RELAY,
        deployment=deployment,
        format=get_format(next(iter(deployment.provider.row.formats), "openai-chat")),
        body=RelayBody(b""),
        stream=False,
        secret=secret,
        relay=target,
        now=now,
    )


def _keeps_list(provider: Provider) -> bool:
    return provider.row.models_path is not None and not provider.row.relay_only


async def _ask(runtime: ProviderRuntime, secrets: SecretBroker, now: float) -> ModelList:
    provider = runtime.provider
    deployment = Deployment(provider.name, provider, "")
    secret = await secrets.for_deployment(deployment)
    path = f"{urlsplit(provider.base_url).path}{provider.row.models_path}"
    models: dict[str, ListedModel] = {}
    query = ""
    for _ in range(MOST_PAGES):
        call = reading_call(deployment, secret, RelayTarget("GET", f"{path}?{query}" if query else path), now)
        request = attrs.evolve(runtime.adapter.build_request(call), max_body_bytes=LARGEST_PAGE)
        response = await runtime.transport.send(request)
        if not 200 <= response.status < 300:
            raise runtime.adapter.parse_error(call, response)
        page = read_model_page(response.body)
        models |= {one.id: one for one in page.models}
        if not page.more or page.more == query:
            date = dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="seconds")
            return ModelList(f"{runtime.origin}{path}", date, tuple(models.values()))
        query = page.more
    raise ProviderProtocolError(f"its list of models has more than {MOST_PAGES} pages")


def _saved(one: ModelList) -> Mapping[str, Any]:
    models = [attrs.asdict(model, filter=_is_said) for model in one.models]
    prices = {"prices": write_rows(one.prices)} if one.prices else {}
    return {"source": one.source, "date": one.date, "models": models, **prices}


def _loaded(value: Mapping[str, Any]) -> ModelList:
    models = []
    for one in value["models"]:
        fields: dict[str, Any] = {**one, "modalities": one.get("modalities") and tuple(one["modalities"])}
        if one.get("rates") is not None:
            fields["rates"] = read_rates(one["rates"])
        models.append(ListedModel(**fields))
    return ModelList(str(value["source"]), str(value["date"]), tuple(models), read_rows(value.get("prices", {})))


def _is_said(_: attrs.Attribute[Any], value: Any) -> bool:
    return value is not None
