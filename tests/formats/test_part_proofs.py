from __future__ import annotations

import base64
import re

import attrs
import pytest
from hypothesis import given, strategies as st

from llmgate.formats.part_proofs import (
    ThoughtsBefore,
    beside,
    proof_of,
    proved_id,
    put_back,
    signature_of,
    with_proved_ids,
)
from llmgate.formats.sealing import SEAL, sealed
from llmgate.formats.thought_signatures import marked_id, signed
from llmgate.spec import Message, Reasoning, Role, Text, ToolCall, ToolCallResponse

SIGNATURE = "CisB+/4pZw0abc_-=="
CALL = ToolCall("call_1", "f", "{}", extra=signed(SIGNATURE))
PLAIN = ToolCall("call_1", "f", "{}")
THOUGHT = Reasoning("hm", "c2ln")
HIDDEN = Reasoning("", extra={"type": "redacted_thinking", "data": "b3BhcXVl"})

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
proofs = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
thoughts = st.builds(Reasoning, words, proofs) | st.just(HIDDEN)


def turn(*parts, role=Role.ASSISTANT):
    return Message(role, parts)


def back(*parts):
    (message,) = put_back((turn(*parts),))
    return message.parts


def test_a_conversation_without_anything_of_ours_is_the_very_same():
    messages = (turn(Text("a__proof__b"), PLAIN, THOUGHT, HIDDEN), turn(ToolCallResponse("a__b", ()), role=Role.TOOL))
    assert put_back(messages) is messages
    odd = (turn(ToolCallResponse("a__proof__x", ()), role=Role.TOOL), turn(ToolCallResponse("__thought__", ())))
    assert put_back(odd) == odd


@given(st.lists(thoughts, max_size=3), st.none() | proofs, words.filter(bool))
def test_ids_carry_a_turns_proofs_there_and_back(before, signature, call_id):
    call = ToolCall(call_id, "f", "{}", extra=signed(signature))
    parts = [*before, Text("so"), call, ToolCall("other", "g", "{}")]
    carried = [one for one in with_proved_ids(parts) if isinstance(one, ToolCall)]
    assert carried[1].id == "other"
    rest = [attrs.evolve(one, extra={}) for one in carried]
    result = turn(ToolCallResponse(carried[0].id, ()), role=Role.TOOL)
    said, results = put_back((turn(Text("so"), *rest), result)) if carried[0].id != call_id else (turn(*parts), None)
    assert said.parts == (Text("so"), *before, call, ToolCall("other", "g", "{}")) or not before
    assert [one for one in said.parts if isinstance(one, ToolCall)] == [call, ToolCall("other", "g", "{}")]
    assert results is None or results.parts == (ToolCallResponse(call_id, ()),)


def test_an_id_is_of_the_signs_that_every_vendor_takes():
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", proved_id("call_1", CALL.extra, [sealed(THOUGHT).removeprefix(SEAL)]))


def test_a_thought_whose_proof_comes_in_the_id_is_told_once():
    (_, carried) = with_proved_ids([THOUGHT, PLAIN])
    assert back(Reasoning("hm"), carried) == (THOUGHT, PLAIN)
    assert back(Reasoning("something else"), carried) == (Reasoning("something else"), THOUGHT, PLAIN)


def test_pieces_of_a_thought_are_one():
    gathered = ThoughtsBefore()
    for piece in (Reasoning("h", extra={"type": "thinking"}), Reasoning("m"), Reasoning("", "c2ln")):
        gathered.add(piece)
    first = gathered.call_id("call_1", {})
    assert back(attrs.evolve(PLAIN, id=first)) == (THOUGHT, PLAIN)
    assert gathered.call_id("call_2", {}) == "call_2", "the first call has them all"


def test_an_id_that_would_be_too_long_stays_short():
    assert proved_id("call_1", {}, ["x" * 300_000]) == "call_1"
    assert proved_id("call_1", CALL.extra, ["x" * 300_000]) == marked_id("call_1", CALL.extra)


def test_signatures_stand_beside_what_they_sign():
    text = Text("so", extra=signed("dGV4dA=="))
    plain = Text("so")
    call_proof, text_proof = proof_of(CALL), proof_of(text)
    assert list(beside([text, CALL, plain, PLAIN], texts=True)) == [text, text_proof, call_proof, CALL, plain, PLAIN]
    assert list(beside([text, CALL], texts=False)) == [text, call_proof, CALL]
    assert proof_of(PLAIN) is proof_of(plain) is None


def test_proofs_beside_parts_are_put_back_on_them():
    text = Text("so", extra=signed("dGV4dA=="))
    spelled = [
        one if isinstance(one, Reasoning) else attrs.evolve(one, extra={}) for one in beside([text, CALL], texts=True)
    ]
    assert back(*spelled) == (text, CALL)
    as_signatures = [Reasoning("", signature_of(one)) if isinstance(one, Reasoning) else one for one in spelled]
    assert all(one.signature.startswith(SEAL) for one in as_signatures if isinstance(one, Reasoning))
    assert back(*as_signatures) == (text, CALL)


def test_a_proof_whose_part_is_gone_says_nothing_of_another():
    assert back(proof_of(CALL), attrs.evolve(PLAIN, id="call_2")) == (attrs.evolve(PLAIN, id="call_2"),)
    assert back(proof_of(Text("x", extra=signed("dGV4dA==")))) == (Text("", extra=signed("dGV4dA==")),)


def test_a_signed_thought_of_gemini_goes_as_a_proof_and_comes_back():
    thought = Reasoning("hm", extra=signed(SIGNATURE))
    assert back(Reasoning("hm", signature_of(thought))) == (thought,)
    assert signature_of(THOUGHT) == "c2ln"
    assert signature_of(Reasoning("hm")) is None


@pytest.mark.parametrize(
    "broken", [SEAL, f"{SEAL}x", f"{SEAL}{'A' * 40}", (sealed(THOUGHT) or "")[:-3], f"{sealed(THOUGHT)}AAAA"]
)
def test_what_has_been_damaged_counts_for_nothing(broken):
    assert back(Reasoning("hm", broken), PLAIN) == (Reasoning("hm"), PLAIN)
    assert back(Reasoning("", broken), PLAIN) == (PLAIN,)
    marked = attrs.evolve(PLAIN, id=f"call_1__proof__{broken.removeprefix(SEAL)}")
    assert back(marked) == (marked,)


def test_a_seal_among_bytes_is_opened():
    data = base64.b64encode(sealed(HIDDEN).encode()).decode()
    assert back(Reasoning("", extra={"type": "redacted_thinking", "data": data})) == (HIDDEN,)
    odd = base64.b64encode(b"llmgate.1.\xff").decode()
    kept = Reasoning("", extra={"type": "redacted_thinking", "data": odd})
    assert back(kept) == (kept,)
