"""Providers are asked for their models; what they say is served by, kept, and never lost to one bad answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llmgate import Pipeline
from llmgate.pipeline.candidates import find_candidates
from llmgate.pipeline.listing import ModelList, load_lists, save_lists
from llmgate.spec import ConfigError, GatewayClosedError, ListedModel, ModelNotFoundError, Operation
from llmgate.testing.transport import json_answer
from scripted import MESSAGES, OpenBench, completion, failure


def listing(*names: str, **fields: Any) -> Any:
    return json_answer({"data": [{"id": name, **fields} for name in names]})


def answer_by_host(**answers: Any) -> Any:
    """Providers are asked at the same time: each host has answers of its own."""
    queues = {host: list(value) if isinstance(value, tuple) else [value] for host, value in answers.items()}

    def answer(request: Any) -> Any:
        host = request.url.removeprefix("https://").partition(".")[0]
        return queues[host].pop(0)

    return answer


async def test_a_providers_list_is_asked_for_with_its_credential(bench: OpenBench) -> None:
    answer = answer_by_host(alpha=listing("small"), beta=listing("tiny"))
    async with bench(answer, answer) as b:
        lists, failed = await b.pipeline.sync_models()
        assert {name: [model.id for model in one.models] for name, one in lists.items()} == {
            "alpha": ["small"],
            "beta": ["tiny"],
        }
        assert not failed
        assert sorted(b.urls) == ["https://alpha.test/v1/models", "https://beta.test/v1/models"]
        sent = {one.provider_name: one for one in b.transport.requests}["alpha"]
        assert (sent.method, sent.headers["authorization"]) == ("GET", "Bearer key-of-alpha")
        assert lists["alpha"].source == "https://alpha.test/v1/models"
        assert lists["alpha"].date == "2023-11-14T22:13:20+00:00"


async def test_a_listed_model_is_found_by_its_bare_name_and_shown(bench: OpenBench) -> None:
    answer = answer_by_host(
        alpha=listing("small", context_window=9000, max_completion_tokens=800), beta=(listing("tiny"), completion())
    )
    async with bench(answer, answer, answer) as b:
        with pytest.raises(ModelNotFoundError):
            await b.pipeline.complete(model="tiny", messages=MESSAGES)
        await b.pipeline.sync_models()
        await b.pipeline.complete(model="tiny", messages=MESSAGES)
        assert b.urls[-1] == "https://beta.test/v1/chat/completions"
        entries = {entry.id: entry.listed for entry in await b.pipeline.models()}
        assert entries == {"alpha/small": ListedModel("small", 9000, 800), "beta/tiny": ListedModel("tiny")}


async def test_what_an_operator_lists_counts_alone(bench: OpenBench) -> None:
    providers = {"alpha": {"base-url": "https://alpha.test/v1", "models": ["small"]}}
    async with bench(listing("small", "secret"), providers=providers, routers={}) as b:
        await b.pipeline.sync_models()
        assert [entry.id for entry in await b.pipeline.models()] == ["alpha/small"]


async def test_the_size_that_a_provider_tells_is_known_of_its_deployments(bench: OpenBench) -> None:
    answer = answer_by_host(alpha=listing("gpt-5", context_window=9000, max_completion_tokens=800), beta=failure(404))
    async with bench(answer, answer) as b:
        await b.pipeline.sync_models()
        (deployment,) = find_candidates(b.pipeline.snapshot, None, "alpha/gpt-5", Operation.CHAT).deployments
        facts = deployment.facts
        assert (facts.context_window, facts.max_output, facts.reasons) == (9000, 800, True)


async def test_pages_are_followed_to_the_last(bench: OpenBench) -> None:
    pages = [
        json_answer({"data": [{"id": "a"}], "has_more": True, "last_id": "a"}),
        json_answer({"data": [{"id": "b"}], "has_more": False}),
    ]
    async with bench(*pages, providers={"alpha": {"base-url": "https://alpha.test/v1"}}, routers={}) as b:
        lists, _ = await b.pipeline.sync_models()
        assert [model.id for model in lists["alpha"].models] == ["a", "b"]
        assert b.urls == ["https://alpha.test/v1/models", "https://alpha.test/v1/models?after_id=a"]


async def test_a_list_without_an_end_is_given_up(bench: OpenBench) -> None:
    numbers = iter(range(1000))
    endless = [lambda _: json_answer({"data": [{"id": "a"}], "nextPageToken": f"{next(numbers)}"}) for _ in range(60)]
    async with bench(*endless, providers={"alpha": {"base-url": "https://alpha.test/v1"}}, routers={}) as b:
        lists, failed = await b.pipeline.sync_models()
        assert not lists
        assert "more than 50 pages" in failed["alpha"]


async def test_a_provider_that_gives_none_keeps_the_one_it_gave(bench: OpenBench) -> None:
    answer = answer_by_host(alpha=(listing("small"), failure(500)), beta=(listing("tiny"), json_answer({"no": 1})))
    async with bench(*[answer] * 4) as b:
        await b.pipeline.sync_models()
        lists, failed = await b.pipeline.sync_models()
        assert set(lists) == {"alpha", "beta"}
        assert "answered 500" in failed["alpha"]
        assert "not a list of models" in failed["beta"]
        assert [entry.id for entry in await b.pipeline.models()] == ["alpha/small", "beta/tiny"]


async def test_a_provider_without_its_key_is_not_asked(bench: OpenBench) -> None:
    async with bench(listing("tiny"), environment={"BETA_API_KEY": "k"}) as b:
        lists, failed = await b.pipeline.sync_models()
        assert set(lists) == {"beta"}
        assert "ALPHA_API_KEY" in failed["alpha"]


async def test_a_running_exchange_keeps_what_it_began_with_and_a_reload_keeps_the_lists(bench: OpenBench) -> None:
    answer = answer_by_host(alpha=listing("small"), beta=listing("tiny"))
    async with bench(answer, answer) as b:
        before = b.pipeline.snapshot
        async with b.pipeline.exchange() as exchange:
            await b.pipeline.sync_models()
            assert exchange.snapshot is before
        assert b.pipeline.snapshot is not before
        await b.pipeline.reload()
        assert [entry.id for entry in await b.pipeline.models()] == ["alpha/small", "beta/tiny"]


async def test_the_same_lists_again_change_nothing(bench: OpenBench) -> None:
    answer = answer_by_host(alpha=(listing("small"), listing("small")), beta=(listing("tiny"), listing("tiny")))
    async with bench(*[answer] * 4) as b:
        await b.pipeline.sync_models()
        before = b.pipeline.snapshot
        b.clock.advance(60)
        lists, _ = await b.pipeline.sync_models()
        assert b.pipeline.snapshot is before
        assert lists["alpha"].date == "2023-11-14T22:14:20+00:00"


async def test_lists_are_renewed_by_the_clock_and_kept_in_a_file(bench: OpenBench, tmp_path) -> None:
    path = tmp_path / "lists.json"
    answer = answer_by_host(alpha=(listing("one"), listing("two")))
    settings = {"refresh": "1h", "file": str(path)}
    providers = {"alpha": {"base-url": "https://alpha.test/v1"}}
    async with bench(answer, answer, **{"model-lists": settings}, providers=providers, routers={}) as b:
        await until(lambda: path.exists() and b.clock.sleeping == 1)
        assert [model.id for model in load_lists(path)["alpha"].models] == ["one"]
        b.clock.advance(3600 * 1.1)
        await until(lambda: [model.id for model in load_lists(path)["alpha"].models] == ["two"])
    kept = Pipeline.from_config({"providers": providers, "model-lists": {"file": str(path)}}, environment={})
    assert [model.id for model in kept.model_lists["alpha"].models] == ["two"]
    assert kept.snapshot.providers["alpha"].row.listed.keys() == {"two"}


async def test_a_pipeline_that_is_not_open_asks_nobody(bench: OpenBench) -> None:
    async with bench() as b:
        pass
    with pytest.raises(GatewayClosedError):
        await b.pipeline.sync_models()


def test_a_file_gives_back_what_was_written(tmp_path):
    lists = {
        "a": ModelList(
            "https://a.test/models", "2026-01-01T00:00:00+00:00", (ListedModel("m", 9, 8, ("text",), tools=True),)
        ),
        "b": ModelList("https://b.test/models", "2026-01-01T00:00:00+00:00", (ListedModel("ü"),)),
    }
    save_lists(tmp_path / "lists.json", lists)
    assert load_lists(tmp_path / "lists.json") == lists
    assert [one.name for one in tmp_path.iterdir()] == ["lists.json"], "nothing else is left behind"
    assert load_lists(tmp_path / "none.json") == {}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"providers": {"a": {}}}', '{"providers": {"a": {"models": [1]}}}']
)
def test_a_file_that_is_something_else_is_refused(tmp_path, text):
    path = tmp_path / "lists.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="not a file of model lists"):
        load_lists(path)


def test_a_file_that_cannot_be_replaced_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "lists.json"
    save_lists(path, {"a": ModelList("s", "d", ())})
    before = path.read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        save_lists(path, {})
    assert path.read_bytes() == before
    assert json.loads(before)["providers"]["a"]["date"] == "d"
    assert len(list(tmp_path.iterdir())) == 1


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
