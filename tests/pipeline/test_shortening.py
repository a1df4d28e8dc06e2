from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from llmgate.formats import get_format, read_request
from llmgate.formats.anthropic_count_tokens.estimate import estimate_input
from llmgate.spec import Credentials, InvalidRequestError
from scripted import Bench, OpenBench, completion

HANDLER = "helicone-token-limit-exception-handler"
PROVIDERS = {name: {"base-url": f"https://{name}.test/v1", "keyless": True} for name in ("alpha", "beta")}
WORDS = " ".join(f"word{number}" for number in range(2700))
"""About 6,600 tokens; the window of gpt-4 has 8,192."""


async def ask(b: Bench, how: str | None, messages: Any, model: str = "alpha/gpt-4", **fields: Any) -> Mapping[str, Any]:
    body = json.dumps({"model": model, "messages": messages, **fields}).encode()
    headers = {} if how is None else {HANDLER: how}
    async with b.pipeline.exchange(credentials=Credentials(headers=headers)) as exchange:
        await exchange.send(read_request(get_format("openai-chat"), body))
    return exchange.exchange.noted_headers()


def fits(b: Bench, window: int = 8192) -> bool:
    chat = get_format("openai-chat").decode_request(b.transport.requests[-1].body or b"")
    return estimate_input(chat) <= window


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


LONG = [
    {"role": "system", "content": "be brief"},
    user(f"FIRST {WORDS}"),
    assistant(f"SECOND {WORDS}"),
    user(f"THIRD {WORDS} the question?"),
]


@pytest.mark.parametrize("how", ["truncate", "middle-out", "fallback", None])
async def test_what_is_not_too_long_goes_out_as_it_came(bench: OpenBench, how: str | None) -> None:
    async with bench(completion(), providers=PROVIDERS) as b:
        messages = [user("two  blanks\n\n\n\nand lines")]
        assert await ask(b, how, messages) == {}
        assert b.bodies[0]["messages"] == messages


async def test_truncate_leaves_out_the_oldest(bench: OpenBench) -> None:
    async with bench(completion(), providers=PROVIDERS) as b:
        assert await ask(b, "truncate", LONG, max_tokens=500, custom="kept") == {"llmgate-shortened": "truncate"}
        body = b.bodies[0]
        assert body["custom"] == "kept"
        system, *others = body["messages"]
        assert system == LONG[0]
        assert others[-1] == LONG[-1]
        assert "FIRST" not in json.dumps(others)
        assert "[...]" in others[0]["content"]
        assert fits(b, 8192 - 500)
        (record,) = await b.records()
        assert record.metadata["llmgate.shortened"].startswith("truncate, from about ")


async def test_truncate_takes_blanks_first(bench: OpenBench) -> None:
    async with bench(completion(), providers=PROVIDERS) as b:
        await ask(b, "truncate", [user("a" + " " * 40_000 + "b" + "\n" * 9000 + "c")])
        assert b.bodies[0]["messages"] == [user("a b\n\nc")]


async def test_middle_out_keeps_the_beginning_and_the_end(bench: OpenBench) -> None:
    async with bench(completion(), providers=PROVIDERS) as b:
        assert await ask(b, "middle-out", LONG) == {"llmgate-shortened": "middle-out"}
        system, first, *_, last = b.bodies[0]["messages"]
        assert system == LONG[0]
        assert first["content"].startswith("FIRST word0 word1")
        assert last["content"].endswith("word2699 the question?")
        assert "SECOND" not in json.dumps(b.bodies[0])
        assert fits(b)


async def test_middle_out_of_one_message(bench: OpenBench) -> None:
    async with bench(completion(), providers=PROVIDERS) as b:
        await ask(b, "middle-out", [user(f"START {WORDS} {WORDS} {WORDS} END")])
        (message,) = b.bodies[0]["messages"]
        assert message["content"].startswith("START word0")
        assert message["content"].count("[...]") == 1
        assert message["content"].endswith("word2699 END")
        assert fits(b)


@pytest.mark.parametrize("how", ["truncate", "middle-out"])
async def test_calls_of_tools_and_their_answers_stay_together(bench: OpenBench, how: str) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}
    messages = [
        user(f"find it {WORDS}"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": f"RESULT {WORDS} {WORDS}"},
        user("and now?"),
    ]
    async with bench(completion(), providers=PROVIDERS) as b:
        await ask(b, how, messages)
        sent = b.bodies[0]["messages"]
        assert [one["role"] for one in sent][-3:] == ["assistant", "tool", "user"]
        assert sent[-3]["tool_calls"] == [call]
        assert sent[-2]["tool_call_id"] == "c1"
        assert sent[-1] == user("and now?")
        assert fits(b)


@pytest.mark.parametrize("how", ["truncate", "middle-out"])
async def test_other_alphabets(bench: OpenBench, how: str) -> None:
    async with bench(completion(), providers=PROVIDERS) as b:
        await ask(b, how, [user("長い文章です。" * 4000)])
        assert fits(b)


async def test_it_is_made_to_fit_the_largest_of_the_candidates(bench: OpenBench) -> None:
    async with bench(completion(), providers=PROVIDERS) as b:
        assert await ask(b, "truncate", LONG, "alpha/gpt-4,beta/gpt-4o") == {}
        assert b.bodies[0]["model"] == "gpt-4o"


async def test_fallback_takes_the_model_that_it_fits_and_changes_nothing(bench: OpenBench) -> None:
    async with bench(completion(), completion(), providers=PROVIDERS) as b:
        await ask(b, "fallback", LONG, "alpha/gpt-4,beta/gpt-4.1")
        assert (b.bodies[0]["model"], b.bodies[0]["messages"]) == ("gpt-4.1", LONG)
        await ask(b, "fallback", [user("short")], "alpha/gpt-4,beta/gpt-4.1")
        assert b.bodies[1]["model"] == "gpt-4"


async def test_a_model_of_unknown_size_gets_all_of_it(bench: OpenBench) -> None:
    async with bench(completion(), providers=PROVIDERS) as b:
        assert await ask(b, "truncate", LONG, "alpha/my-own") == {}


async def test_another_word_is_refused(bench: OpenBench) -> None:
    async with bench(providers=PROVIDERS) as b:
        with pytest.raises(InvalidRequestError, match="must be one of truncate, middle-out, fallback"):
            await ask(b, "shorten", LONG)
