"""The kit catches adapters that break their promises."""

from __future__ import annotations

import itertools
from pathlib import Path

import attrs
import pytest

from llmgate.formats.adapter import FormatAdapter
from llmgate.spec import GatewayResponse, InvalidRequestError, ProviderError
from llmgate.testing.conformance.providers import ProviderConformance

GOLDEN = Path(__file__).parents[2] / "golden" / "openai"


def kit(adapter: type[FormatAdapter]) -> ProviderConformance:
    """The kit for an adapter, without pytest collecting it."""

    class Kit(ProviderConformance):
        stage_class = adapter
        golden = GOLDEN

    return Kit()


class Good(FormatAdapter):
    name = "good"


class DropsTheCredential(Good):
    def build_request(self, call):
        built = super().build_request(call)
        return attrs.evolve(built, headers={**built.headers, "authorization": "Bearer"})


class GoesElsewhere(Good):
    def build_request(self, call):
        return attrs.evolve(super().build_request(call), url="https://evil.invalid/v1")


class ChangesTheBody(Good):
    def build_request(self, call):
        return attrs.evolve(super().build_request(call), body=b"{}")


class SharesConnections(Good):
    def build_request(self, call):
        return attrs.evolve(super().build_request(call), pool="all")


class ShowsTheVendorsText(Good):
    def parse_error(self, call, response):
        return ProviderError(response.body.decode("latin-1"), upstream_status=response.status)


class SwallowsErrors(Good):
    def parse_response(self, call, response):
        return GatewayResponse(call.format.name, response.body, call.format.stream_reader().outcome)


class PassesUsageOn(Good):
    def stream_reader(self, call):
        return call.format.stream_reader()


class EndsByItself(Good):
    def stream_reader(self, call):
        reader = super().stream_reader(call)
        reader.finish = lambda: None
        return reader


def test_a_good_adapter_passes():
    good = kit(Good)
    good.test_presents_the_credential()
    good.test_writes_the_corpus("full", update_golden=False)
    good.test_relays_the_same_however_split()


@pytest.mark.parametrize(
    ("adapter", "test", "arguments"),
    [
        (DropsTheCredential, "test_presents_the_credential", ()),
        (GoesElsewhere, "test_goes_where_the_row_says", ()),
        (GoesElsewhere, "test_writes_the_corpus", ("text", False)),
        (ChangesTheBody, "test_relays_a_body_as_it_is", ()),
        (SharesConnections, "test_credentials_share_no_connections", ()),
        (ShowsTheVendorsText, "test_reads_errors", (401, "json")),
        (ShowsTheVendorsText, "test_reads_errors", (500, "html")),
        (ShowsTheVendorsText, "test_keeps_the_error_body_of_the_vendor", ()),
        (SwallowsErrors, "test_sees_an_error_inside_a_success", ()),
        (SwallowsErrors, "test_refuses_an_answer_that_is_none", (b"<html></html>",)),
        (PassesUsageOn, "test_withholds_the_usage_event_it_asked_for", ()),
        (EndsByItself, "test_a_cut_stream_is_an_error", ()),
    ],
)
def test_a_broken_promise_is_caught(adapter, test, arguments):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(kit(adapter), test)(*arguments)


def test_refused_requests_are_expected_to_be_refused():
    """A capability that is said to be off must refuse."""

    class Kit(ProviderConformance):
        stage_class = Good
        golden = GOLDEN
        refuses = frozenset({"media"})

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        Kit().test_writes_the_corpus("media", update_golden=False)


def test_a_refusal_must_be_the_same_each_time():
    numbers = itertools.count()

    class Wavering(Good):
        def build_request(self, call):
            raise InvalidRequestError(f"no, for the {next(numbers)}th time", param="messages")

    class Kit(ProviderConformance):
        stage_class = Wavering
        golden = GOLDEN
        refuses = frozenset({"media"})

    with pytest.raises(AssertionError):
        Kit().test_same_call_same_bytes("media")


def test_a_keyless_provider_has_one_pool_and_sends_no_credential():
    class Kit(ProviderConformance):
        stage_class = Good
        golden = GOLDEN
        keyless = True

    class Scattering(Good):
        def build_request(self, call):
            return attrs.evolve(super().build_request(call), pool=str(next(numbers)))

    numbers = itertools.count()
    Kit().test_credentials_share_no_connections()
    Kit().test_refuses_a_credential_that_no_header_can_carry("snowman \N{SNOWMAN}")
    Kit.stage_class = Scattering
    with pytest.raises(AssertionError):
        Kit().test_credentials_share_no_connections()
