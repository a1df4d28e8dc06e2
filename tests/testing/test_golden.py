from __future__ import annotations

import pytest

from llmgate.spec import ProviderRequest
from llmgate.testing.golden import assert_golden, describe_request


def test_the_same_text_passes_and_another_shows_the_difference(tmp_path):
    path = tmp_path / "deep" / "golden.json"
    with pytest.raises(AssertionError, match="--update-golden"):
        assert_golden(path, "one\n", update=False)
    assert_golden(path, "one\n", update=True)
    assert_golden(path, "one\n", update=False)
    with pytest.raises(AssertionError, match=r"-one\n\+two"):
        assert_golden(path, "two\n", update=False)
    assert path.read_text() == "one\n"


def test_a_request_is_described_without_its_credential():
    request = ProviderRequest("POST", "https://a.example", {"b": "Bearer sk-1", "a": "1"}, b'{"x": "\xc3\xa9"}')
    text = describe_request(request, secret="sk-1")
    assert "sk-1" not in text
    assert '"b": "Bearer ***"' in text
    assert '"x": "é"' in text
    assert text.index('"a"') < text.index('"b"')


@pytest.mark.parametrize(("body", "shown"), [(None, "null"), (b"no json", '"no json"'), (b"\xff", "xff")])
def test_any_body_can_be_described(body, shown):
    assert shown in describe_request(ProviderRequest("POST", "https://a.example", {}, body))
