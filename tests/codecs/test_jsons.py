from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given, strategies as st

from llmgate.codecs import jsons
from llmgate.codecs.jsons import MAX_DEPTH, MAX_VALUES, REMOVE, JSONError, canonical, dumps, dumps_plain, loads, top

PARSERS = [pytest.param(False, id="stdlib")]
if jsons.orjson is not None:
    PARSERS.append(pytest.param(True, id="orjson"))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=6)
layouts = st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])


@pytest.fixture(params=PARSERS)
def parser(request, monkeypatch):
    """Each test runs with either parser."""
    monkeypatch.setattr(jsons, "_USE_ORJSON", request.param)


def both(function, argument):
    """What each of the two parsers answers: a value, or that it refuses."""
    answers = []
    for use in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jsons, "_USE_ORJSON", use and jsons.orjson is not None)
            try:
                answers.append(function(argument))
            except JSONError:
                answers.append(JSONError)
    return answers


def nested(depth: int, shell: str = "[]") -> bytes:
    return (shell[0] * depth + shell[1] * depth).encode()


@given(objects, layouts)
def test_top_agrees_with_the_standard_library(value, layout):
    read = top(json.dumps(value, **layout).encode())
    assert read.values() == value
    assert list(read.values()) == list(value)
    for name in value:
        assert read.has(name)
        assert read.get(name) == value[name]
    assert not read.has("\x00 never generated as one name")


@given(values, layouts)
def test_loads_agrees_with_the_standard_library_whichever_parser(value, layout):
    data = json.dumps(value, **layout).encode()
    expected = json.loads(data)
    for answer in both(loads, data):
        assert answer == expected
        assert repr(answer) == repr(expected)  # 1 is not 1.0, 0 is not False


@given(st.binary(max_size=30) | st.text('[]{}",:\\u0d8ef1-.e tn', max_size=24).map(str.encode))
def test_both_parsers_take_and_refuse_the_same(data):
    plain, fast = both(loads, data)
    assert repr(plain) == repr(fast)


_INTEGERS = st.integers(-(2**70), 2**70).map(str) | st.integers(15, 40).map(lambda digits: "9" * digits)
_ODD_NUMBERS = st.sampled_from(
    [
        *(
            "NaN",
            "Infinity",
            "-Infinity",
            "-0",
            "-0.0",
            "0e0",
            "01",
            "1.",
            ".5",
            "+1",
            "1e400",
            "-1e400",
            "1e-400",
            "1E5",
        ),
        *(str(2**63 - 1), str(2**63), str(-(2**63)), str(-(2**63) - 1), str(2**64 - 1), str(2**64), "1" * 5000),
    ]
)
_ODD_STRINGS = st.lists(
    st.sampled_from(
        [
            *(
                "a",
                "null",
                "\\ud800",
                "\\udc00",
                "\\uD83D\\uDE00",
                "\\u0000",
                "\\u00e9",
                "é",
                "\u2028",
                "\\\\",
                '\\"',
                "\\/",
            ),
            *("\\x", "\n", "\x7f", "[", "{", "\\ud83d", "\\uDE00"),
        ]
    ),
    max_size=5,
).map(lambda pieces: f'"{"".join(pieces)}"')
_ODD_NAMES = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"a\\ud800"', '""', "a"])
_LITERALS = st.sampled_from(["null", "true", "false", "nul", "True", "undefined", ""])
odd_texts = st.recursive(
    _INTEGERS | _ODD_NUMBERS | _ODD_STRINGS | _LITERALS,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(_ODD_NAMES, inner), max_size=4).map(
            lambda items: "{" + ",".join(f"{name}:{value}" for name, value in items) + "}"
        )
        | st.tuples(st.sampled_from([1, 2, 198, 199, 200, 201, 300, 1100]), inner).map(
            lambda nest: "[" * nest[0] + nest[1] + "]" * nest[0]
        )
    ),
    max_leaves=8,
)
"""Texts on which parsers differ: repeated names, big integers, NaN, lone surrogates, nesting, and near misses."""


@given(odd_texts)
def test_both_parsers_agree_on_odd_texts(text):
    """The fast parser gives the standard library's answer or leaves the text to it; only the two could differ."""
    plain, fast = both(loads, text.encode())
    assert repr(plain) == repr(fast)


_ODD_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=4)
    | st.sampled_from(["null", "\ud800", b"bytes", {1}, object]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(_ODD_VALUES)
def test_both_writers_agree_on_odd_values(value):
    """Byte for byte but for how a number is spelt, or both refuse; whatever is written says the value."""
    for write in (dumps, canonical, dumps_plain):
        plain, fast = both(write, value)
        if JSONError in (plain, fast):
            assert plain == fast
        else:
            assert repr(json.loads(plain)) == repr(json.loads(fast))


@given(values)
def test_dumps_is_read_back_whichever_writer(value):
    for data in both(dumps, value):
        assert json.loads(data) == value


def test_dumps_is_compact_utf8(parser):
    assert dumps({"a": [1, None, True], "b": "é\u2028"}) == '{"a":[1,null,true],"b":"é\u2028"}'.encode()
    assert dumps({"big": 2**70}) == b'{"big":%d}' % 2**70


circle: list[object] = []
circle.append(circle)


def test_plain_values_are_written_whatever_they_hold(parser):
    odd = {"n\udc80": [float("nan"), (float("inf"), None, 1.5, 2**70), "a\ud800"], "b": "é\n"}
    assert dumps_plain(odd) == '{"n?":[null,[null,null,1.5,1180591620717411303424],"a?"],"b":"é\\n"}'.encode()
    for value in (object(), {"a": {1}}, circle):
        with pytest.raises(JSONError, match="cannot be written as JSON"):
            dumps_plain(value)


@given(values)
def test_plain_values_are_read_back_whichever_writer(value):
    for data in both(dumps_plain, value):
        assert json.loads(data) == value


@pytest.mark.parametrize(
    "value", [float("nan"), [float("inf")], {"a": -float("inf")}, "\ud800", object(), circle, {1, 2}]
)
def test_dumps_refuses_what_json_has_not(parser, value):
    with pytest.raises(JSONError, match="cannot be written as JSON"):
        dumps(value)


BAD_VALUES = {
    "nan": b"NaN",
    "infinity": b"Infinity",
    "minus infinity": b"-Infinity",
    "overflow": b"1e999",
    "negative overflow": b"-1e999",
    "long overflow": b"1" * 400 + b".0",
    "digits": b"1" * 5000,
    "lone high surrogate": b'"\\ud800"',
    "lone low surrogate": b'"\\uDC00 "',
    "two highs": b'"\\ud800\\ud800"',
    "high then escape": b'"\\ud83d\\n"',
    "surrogate in a name": b'{"\\udfff":1}',
    "depth": nested(MAX_DEPTH + 1),
    "depth of objects": b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "bomb": nested(100_000),
    "unclosed bomb": b"[" * 100_000,
    "bomb behind a quote": b'"' + b"[" * 100_000,
    "control character": b'"a\nb"',
    "invalid utf-8": b'"\xff"',
    "surrogate in utf-8": b'"\xed\xa0\x80"',
    "trailing comma": b"[1,]",
    "single quotes": b"'a'",
    "leading zero": b"01",
    "plus": b"+1",
    "comment": b"/**/1",
    "cut": b'[1, {"a"',
    "two values": b"1 2",
    "form feed": b"\x0c1",
}


@pytest.mark.parametrize("data", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_refused_everywhere(parser, data):
    """Each is refused alone, as a member's value and deeper, and never by another exception."""
    with pytest.raises(JSONError):
        loads(data)
    with pytest.raises(JSONError):
        top(b'{"model":"m","x":' + data + b"}")
    with pytest.raises(JSONError):
        top(b'{"model":"m","x":[' + data + b"]}")


@pytest.mark.parametrize(
    "data",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","mod\\u0065l":"b"}',
        b'{"mod\\u0065l":"a","model":"b"}',
        b'{"x":1,"messages":[{"content":"a","content":"b"}]}',
        b'{"x":{"a":1,"\\u0061":1}}',
    ],
)
def test_repeated_names_are_refused_at_any_depth(data):
    with pytest.raises(JSONError, match="repeated"):
        top(data)


@pytest.mark.parametrize(
    "data",
    [
        b"[]", b'"x"', b"1", b"null", b"", b" ", b"{", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b'{"a":1,}', b"{,}",
        b'{"a" 1}', b"{1:1}", b"{a:1}", b'{"a":1}x', b'{"a":1}{"b":2}', b'{"a":1 "b":2}', b'{"a":}', b'{"\n":1}',
        b'{"a\\x":1}', b'{"a', b"{]", b'\xef\xbb\xbf{"a":1}', '{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-16-le"),
        '{"a":1}'.encode("utf-32"), '{"a":1}\u00a0'.encode(),
    ],
)  # fmt: skip
def test_top_takes_one_whole_utf8_object_only(data):
    with pytest.raises(JSONError):
        top(data)


def test_messages_show_nothing_of_the_content():
    for data in (b'{"key":"sk-secret', b'{"a":"sk-secret"} sk-secret', b'{"sk-secret":1,"sk-secret":2}', b"sk-secret"):
        with pytest.raises(JSONError) as caught:
            top(data)
        assert "sk-secret" not in str(caught.value)


def test_depth_up_to_the_bound_is_taken(parser):
    inside = nested(MAX_DEPTH - 1)
    assert top(b'{"x":' + inside + b"}").has("x")
    assert loads(nested(MAX_DEPTH)) == json.loads(nested(MAX_DEPTH))


def test_brackets_in_strings_are_no_depth(parser):
    value = {"a": ["[{" * 500, '\\"[[[\\', "\\" * 7 + '"' + "{" * 300], "b": [{}] * 300}
    assert top(json.dumps(value).encode()).values() == value
    assert loads(json.dumps(value).encode()) == value


def test_closers_in_strings_hide_no_depth(parser):
    data = b'{"x":["' + b"]" * 300 + b'",' + nested(MAX_DEPTH) + b"]}"
    with pytest.raises(JSONError, match="nested deeper"):
        top(data)
    with pytest.raises(JSONError, match="nested deeper"):
        loads(data)


@pytest.mark.parametrize("thing", ["1", "{}", '""', '"a,b"', r'"\\"', r'"\","', "null", '[""]'])
def test_values_up_to_the_bound_are_taken_and_not_one_more(monkeypatch, thing):
    monkeypatch.setattr("llmgate.codecs.jsons.MAX_VALUES", 10)
    assert top(f'{{"x":[{",".join([thing] * 10)}]}}'.encode()).has("x")
    with pytest.raises(JSONError, match="more than 10 values"):
        top(f'{{"x":[{",".join([thing] * 11)}]}}'.encode())


def test_commas_in_strings_are_no_values():
    text = ",".join(["word"] * (MAX_VALUES + 1))
    assert top(json.dumps({"x": text, "y": [text, '\\",\\"']}).encode()).get("x") == text


def test_depth_is_bounded_however_deep_the_stack_already_is():
    def deep(left: int) -> None:
        if left:
            deep(left - 1)
            return
        with pytest.raises(JSONError):
            top(b'{"x":' + nested(100_000) + b"}")

    deep(sys.getrecursionlimit() // 2)


@given(objects, layouts)
def test_patched_without_edits_is_the_same_object(value, layout):
    body = json.dumps(value, **layout).encode()
    assert top(body).patched({}) is body
    assert top(body).patched({"\x00absent\x00": REMOVE}) is body


@given(objects, st.sampled_from([", ", ",", " ,\n\t"]), st.sampled_from([":", " : "]), st.data())
def test_patched_changes_that_span_only(value, comma, colon, data):
    name = data.draw(st.sampled_from(sorted(value)) if value else texts)
    new = data.draw(values)

    def written(members: dict[str, str]) -> bytes:
        return (" {" + comma.join(json.dumps(key) + colon + text for key, text in members.items()) + " } ").encode()

    members = {key: json.dumps(one) for key, one in value.items()}
    changed = top(written(members)).patched({name: new})
    assert top(changed).values() == {**value, name: new}
    if name in value:
        assert changed == written({**members, name: dumps(new).decode()})


@given(objects, layouts, st.data())
def test_patched_removes_and_appends(value, layout, data):
    body = json.dumps(value, **layout).encode()
    gone = data.draw(st.sets(st.sampled_from(sorted(value))) if value else st.just(set()))
    new = data.draw(objects)
    edits = {**dict.fromkeys(gone, REMOVE), **new}
    expected = {name: one for name, one in value.items() if name not in gone or name in new}
    assert top(top(body).patched(edits)).values() == {**expected, **new}


def test_patched_keeps_every_other_byte():
    body = '  {\n "mod\\u0065l" :\t"old" ,\r\n "é":1.50, "z" : {"b":1,  "a":[1 , 2]}\n}\n '.encode()
    changed = top(body).patched({"model": "new"})
    assert changed == body.replace(b'"old"', b'"new"')
    assert top(body).patched({"é": REMOVE}) == body.replace(' ,\r\n "é":1.50'.encode(), b"")
    assert top(body).patched({"model": REMOVE}) == '  {\n "é":1.50, "z" : {"b":1,  "a":[1 , 2]}\n}\n '.encode()
    assert top(body).patched({"n": None}) == body.replace(b"2]}\n}", b'2]},"n":null\n}')
    assert top(b"{ }").patched({"a": 1}) == b'{"a":1 }'
    assert top(b'{"a":1}').patched({"a": REMOVE, "b": 2}) == b'{"b":2}'
    assert top(b'{"a":1}').patched({"a": REMOVE}) == b"{}"


def test_a_value_that_is_not_json_cannot_be_patched_in():
    with pytest.raises(JSONError):
        top(b'{"a":1}').patched({"a": float("nan")})


def test_a_large_flat_body_is_read_in_linear_time():
    item = b'{"role":"user","content":"' + b"x" * 200 + b'"},'
    body = b'{"messages":[' + item * 20_000 + b'{}],"model":"m"}'
    assert len(top(body).get("messages")) == 20_001
