from __future__ import annotations

import pytest

from llmgate.formats.bodies import check_editable, naming_fields, patched, read_top, written
from llmgate.formats.fields import ShapeError
from llmgate.spec import InvalidRequestError


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff"])
def test_what_is_no_request_is_the_callers_error(body):
    with pytest.raises(InvalidRequestError, match="the request body is refused") as refused:
        read_top(body)
    assert refused.value.code == "invalid_json"


def test_a_wrong_shape_names_its_field():
    with pytest.raises(InvalidRequestError, match=r"a\.b must be a string") as refused, naming_fields():
        raise ShapeError("a.b", "a string")
    assert refused.value.param == "a.b"


def test_what_json_cannot_say_is_the_callers_error():
    with pytest.raises(InvalidRequestError, match="the request"):
        written({"a": float("nan")})
    with pytest.raises(InvalidRequestError, match="the request"):
        patched(read_top(b'{"a": 1}'), {"a": float("inf")})


def test_only_what_is_changed_changes():
    body = b'{ "a": 1.50,\t"b":2 }'
    assert patched(read_top(body), {"b": 3}) == b'{ "a": 1.50,\t"b":3 }'
    assert patched(read_top(body), {}) is body


def test_only_fields_of_a_request_may_be_edited():
    check_editable({"model": 1, "messages": 2})
    with pytest.raises(TypeError, match="color, extra: not a field"):
        check_editable({"model": 1, "extra": 2, "color": 3})
