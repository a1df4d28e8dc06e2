from __future__ import annotations

import re

from hypothesis import given, strategies as st

from llmgate.formats.tool_names import restored_chunk, restored_response, shortened
from llmgate.spec import (
    ChatChoice,
    ChatRequest,
    ChatResponse,
    ChoiceDelta,
    GatewayChunk,
    Message,
    Role,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolDefinition,
)

names = st.text(min_size=1, max_size=140).filter(lambda name: name.isprintable())


def request(*tools: str, called: str = "", choice: str | None = None) -> ChatRequest:
    calls = (ToolCall("a", called, "{}"),) if called else ()
    return ChatRequest(
        "m",
        (Message(Role.ASSISTANT, calls),),
        tools=tuple(map(ToolDefinition, tools)),
        tool_choice=ToolChoice("named", choice) if choice else None,
    )


@given(st.lists(names, min_size=1, max_size=4, unique=True), st.sampled_from([64, 128]))
def test_names_are_legal_distinct_and_restored(given_names, longest):
    asked = request(*given_names, called=given_names[0], choice=given_names[-1])
    sent, back = shortened(asked, longest)
    legal = re.compile(rf"[a-zA-Z0-9_-]{{1,{longest}}}")
    assert all(legal.fullmatch(tool.name) for tool in sent.tools)
    assert len({tool.name for tool in sent.tools}) == len(given_names)
    assert [back.get(tool.name, tool.name) for tool in sent.tools] == given_names
    assert sent.tool_choice.name == sent.tools[-1].name
    assert sent.messages[0].parts[0].name == sent.tools[0].name
    assert shortened(asked, longest) == (sent, back)
    answer = ChatResponse("r", "m", (ChatChoice(0, sent.messages[0], None),))
    assert restored_response(answer, back).tool_calls[0].name == given_names[0]
    chunk = GatewayChunk((ChoiceDelta(tool_calls=(ToolCallDelta(0, id="a", name=sent.tools[0].name),)),))
    assert restored_chunk(chunk, back).choices[0].tool_calls[0].name == given_names[0]


def test_what_is_legal_is_left_as_it_is():
    asked = request("f", "mcp__server__tool", called="f")
    assert shortened(asked, 64) == (asked, {})
    assert shortened(request("a.b"), None)[0].tools[0].name == "a.b"
    chunk = GatewayChunk(
        (
            ChoiceDelta(
                tool_calls=(ToolCallDelta(0, name="f"), ToolCallDelta(0, arguments="{")),
            ),
        )
    )
    assert restored_chunk(chunk, {"x": "y"}) is chunk


def test_tools_that_a_vendor_defines_keep_their_names():
    own = ToolDefinition("web.search", extra={"type": "web_search_20260209"})
    assert shortened(ChatRequest("m", (), tools=(own,)), 64)[1] == {}
