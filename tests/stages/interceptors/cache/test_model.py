"""``cache`` against a model: callers get what they were answered while it is fresh, else a new answer."""

from __future__ import annotations

import asyncio

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from llmgate.formats import get_format, read_request
from llmgate.spec import ExchangeView, GatewayResponse, Outcome, Principal, StageContext
from llmgate.stages.interceptors.cache import Cache, CacheConfig
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.samples import sample_attempt, sample_exchange
from llmgate.testing.transport import ScriptedTransport

FORMAT = get_format("openai-chat")
FRESH = 60.0
ENDS = ("stop", "length", "content_filter")


def answer(number, finish):
    return (
        b'{"id":"%d","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"%b",'
        b'"message":{"role":"assistant","content":"answer %d"}}]}' % (number, finish.encode(), number)
    )


class Answers(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock, self.store = FakeClock(), Memory(MemoryConfig())
        self.stage = Cache(CacheConfig(max_age=FRESH))
        self.kept = {}
        self.numbers = 0
        context = StageContext(
            id="cache",
            clock=self.clock,
            transport=ScriptedTransport(),
            fetch_secret=None,
            state=lambda _: self.store,
        )
        self.runner.run(self.store.open(context))
        self.runner.run(self.stage.open(context))

    @rule(
        who=st.sampled_from(["ann", "bob"]),
        text=st.sampled_from(["a", "b", "c"]),
        temperature=st.sampled_from([0, 1]),
        finish=st.sampled_from(ENDS),
        said=st.sampled_from(["", "no-cache", "no-store", "max-age=20"]),
        end=st.sampled_from(["answered", "answered", "left", "failed"]),
    )
    def ask(self, who, text, temperature, finish, said, end):
        body = b'{"model":"m","temperature":%d,"messages":[{"role":"user","content":"%b"}]}' % (
            temperature,
            text.encode(),
        )
        headers = {"cache-control": said} if said else {}
        exchange = sample_exchange(
            read_request(FORMAT, body), principal=Principal(who, "keys"), client_headers=headers, status=200
        )
        view, place = ExchangeView(exchange), (who, text, temperature)
        given = self.runner.run(self.stage.before_request(view, exchange.request))
        now = self.clock.now()
        known = self.kept.get(place)
        fresh_for = min(known[2], 20.0 if said == "max-age=20" else known[2]) if known else 0
        expected = known[0] if known and now - known[1] < fresh_for and said not in ("no-cache", "no-store") else None
        assert (given.body if given is not None else None) == expected
        if given is None:
            self.answered(exchange, view, place, finish, said, end)
        else:
            assert exchange.noted_headers()["helicone-cache"] == "HIT"
        self.runner.run(self.stage.on_settle(view))
        assert len(self.stage._flights) == 0, "nobody is left to wait for"

    def answered(self, exchange, view, place, finish, said, end):
        self.numbers += 1
        body = answer(self.numbers, finish)
        exchange.attempts.append(sample_attempt())
        if end == "failed":
            exchange.status = 500
        else:
            exchange.disconnected = end == "left"
            response = GatewayResponse(
                format="openai-chat", body=body, outcome=self.seen(body), decode=FORMAT.decode_response
            )
            self.runner.run(self.stage.after_response(view, response))
        if end == "answered" and finish != "content_filter" and said != "no-store":
            self.kept[place] = (body, self.clock.now(), 20.0 if said == "max-age=20" else FRESH)

    @staticmethod
    def seen(body) -> Outcome:
        return FORMAT.observe_response(body)

    @rule(seconds=st.sampled_from([1, 19, 21, 59, 61]))
    def wait(self, seconds):
        self.clock.advance(seconds)

    def teardown(self):
        self.runner.run(self.stage.aclose())
        self.runner.close()


Answers.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestAnswers = Answers.TestCase
