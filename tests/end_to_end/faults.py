"""What the caller gets for each fault of a provider: the table that the tests hold the gateway to and the docs show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from llmgate.testing.upstream import FakeUpstream
from llmgate.testing.upstream_faults import FAULTS, Phase, Speech

HEAD, CONTENT, MIDDLE, LAST = Phase
BODY: Final = (CONTENT, MIDDLE, LAST)
ANY: Final = (HEAD, *BODY)

CONNECTION_FAULTS: Final = {
    "refused": "refuses the connection",
    "unresolved": "has a name that does not resolve",
    "no-tls": "does not speak the TLS that its `https` address promises",
    "rejected": "breaks the connection as soon as it is made",
}
"""Faults that no answer can have: what the provider does, by name."""

WHAT: Final = {
    **CONNECTION_FAULTS,
    **{fault.name: fault.what for fault in FAULTS.values()},
    "slow": "sends single bytes, further apart than the bound",
}


@attrs.frozen
class Row:
    """What comes of a fault.

    Args:
        fault: Its name.
        phases: The moments that the row is about.
        status: What the caller is answered with while nothing has been sent.
        code: The error's code, also of an error event once a stream has begun; ``""`` where the fault does no harm,
            None where the caller gets the provider's own error body.
        kind: ``whole`` or ``stream`` for a row about one of the two, else ``""``.
        fails_over: Whether another deployment is asked, as long as nothing has been sent.
        wait: Which bound ends it, where nothing but a bound does.
        shown: The status over HTTP, where the caller's wire format has no such status.
    """

    fault: str
    phases: Sequence[Phase]
    status: int
    code: str | None
    kind: str = ""
    fails_over: bool = True
    wait: str = ""
    shown: int | None = None

    @property
    def harmless(self) -> bool:
        """Whether the caller gets its answer all the same."""
        return self.code == ""


PROTOCOL: Final = "provider_protocol_error"
LOST: Final = "provider_connection_lost"
CUT: Final = "incomplete_stream"
FIRST_BYTE: Final = "provider_first_byte_timeout"

ROWS: Final = (
    Row("refused", (HEAD,), 502, "provider_unreachable"),
    Row("unresolved", (HEAD,), 502, "provider_dns_error"),
    Row("no-tls", (HEAD,), 502, "provider_tls_error"),
    Row("rejected", (HEAD,), 502, LOST),
    Row("hang", (HEAD,), 504, FIRST_BYTE, wait="first-byte"),
    Row("hang", BODY, 504, "provider_idle_timeout", wait="idle"),
    Row("slow", (HEAD,), 504, FIRST_BYTE, wait="first-byte"),
    Row("slow", BODY, 504, "provider_idle_timeout", wait="idle"),
    Row("endless", (HEAD,), 504, FIRST_BYTE, wait="first-byte"),
    Row("endless", BODY, 504, "deadline_exceeded", "whole", fails_over=False, wait="total"),
    Row("endless", (CONTENT,), 504, "provider_first_content_timeout", "stream", wait="first-content"),
    Row("endless", (MIDDLE, LAST), 504, "deadline_exceeded", "stream", fails_over=False, wait="total"),
    Row("interim", (HEAD,), 504, FIRST_BYTE, wait="first-byte"),
    Row("fin", ANY, 502, LOST),
    Row("rst", ANY, 502, LOST),
    Row("early-end", BODY, 502, PROTOCOL, "whole"),
    Row("early-end", BODY, 502, CUT, "stream"),
    Row("unmarked-end", BODY, 502, PROTOCOL, "whole"),
    Row("unmarked-end", BODY, 502, CUT, "stream"),
    Row("short-length", BODY, 502, PROTOCOL, "whole"),
    Row("short-length", BODY, 502, CUT, "stream"),
    Row("long-length", (LAST,), 502, LOST, "whole"),
    Row("long-length", (LAST,), 200, "", "stream"),
    Row("bad-chunk", BODY, 502, PROTOCOL),
    Row("not-http", (HEAD,), 502, PROTOCOL),
    Row("huge-head", (HEAD,), 502, PROTOCOL),
    Row("broken-gzip", BODY, 502, PROTOCOL),
    Row("cut-gzip", BODY, 502, PROTOCOL),
    Row("gzip-bomb", BODY, 502, PROTOCOL),
    Row("unreadable", (CONTENT,), 502, PROTOCOL),
    Row("garbage", BODY, 502, PROTOCOL),
    Row("error-event", (CONTENT,), 502, None),
    Row("error-event", (MIDDLE, LAST), 502, "overloaded", "stream"),
    Row("named-error-event", (CONTENT,), 503, None, "stream"),
    Row("named-error-event", (MIDDLE, LAST), 503, "provider_error", "stream"),
    Row("html", (CONTENT,), 502, PROTOCOL),
    Row("html", (MIDDLE, LAST), 502, CUT, "stream"),
    Row("empty", (CONTENT,), 502, PROTOCOL, "whole"),
    Row("empty", (CONTENT,), 502, CUT, "stream"),
    Row("mislabelled", (CONTENT,), 200, ""),
    Row("other-kind", (CONTENT,), 502, PROTOCOL),
    Row("html-error", (HEAD,), 502, "provider_error"),
    Row("status-302", (HEAD,), 502, PROTOCOL),
    *(Row(f"status-{status}", (HEAD,), status, None, fails_over=False) for status in (400, 413, 422)),
    *(Row(f"status-{status}", (HEAD,), 502, "provider_authentication_failed") for status in (401, 403)),
    *(Row(f"status-{status}", (HEAD,), status, None) for status in (404, 408, 409, 429, 500, 502, 503, 504)),
    Row("status-529", (HEAD,), 529, None, shown=503),
)


@attrs.frozen
class Cell:
    """One fault at one moment of one kind of answer."""

    row: Row
    phase: Phase
    streamed: bool

    def __str__(self) -> str:
        return f"{self.row.fault}-{self.phase.name.lower()}-{'stream' if self.streamed else 'whole'}"

    @property
    def begun(self) -> bool:
        """Whether the caller has had content when it happens, so that there is no way back."""
        return self.streamed and self.phase in {MIDDLE, LAST}

    @property
    def timeouts(self) -> dict[str, Any]:
        """The provider's bounds: short where one of them ends the fault."""
        if self.row.wait == "first-content":
            return {"connect": "5s", "first-byte": "10s", "idle": "10s", "first-content": "300ms"}
        if self.row.wait not in {"first-byte", "idle"}:
            return {"connect": "5s", "first-byte": "10s", "idle": "10s"}
        # A head that comes in drips is bounded by both together.
        drips = self.row.fault in {"endless", "interim"}
        return {"connect": "500ms" if drips else "5s", "first-byte": "300ms", "idle": "300ms"}

    @property
    def total(self) -> float:
        """Seconds that the request may take."""
        return 0.7 if self.row.wait == "total" else 15.0

    async def befall(self, upstream: FakeUpstream, *, times: int, speech: Speech | None = None) -> dict[str, Any]:
        """Have it happen to the next requests, in a format; returns what the configuration says of the provider."""
        name = self.row.fault
        provider = {"base-url": upstream.base_url, "timeouts": self.timeouts}
        if name == "refused":
            await upstream.refuse()
        elif name == "rejected":
            upstream.reject(times)
        elif name == "unresolved":
            provider["base-url"] = "http://no-such-host.invalid/v1"
        elif name == "no-tls":
            provider["base-url"] = upstream.base_url.replace("http://", "https://")
        else:
            upstream.fault(name, self.phase, times=times, speech=speech)
        return provider


def cells() -> Iterator[Cell]:
    """Every cell of the matrix; a fault that has no row, or two, is an error of the table."""
    for row in ROWS:
        for phase in row.phases:
            for streamed in (False, True):
                if row.kind not in {"", "stream" if streamed else "whole"}:
                    continue
                fault = FAULTS.get(row.fault)
                if fault is None or phase in (fault.stream if streamed else fault.whole):
                    yield Cell(row, phase, streamed)


WHEN: Final = {
    (HEAD,): "before the headers",
    (CONTENT,): "before the first content",
    BODY: "after the headers",
    (MIDDLE, LAST): "after the first content",
    (LAST,): "at the very end",
    ANY: "at any time",
}


def table() -> str:
    """The rows as the documentation shows them."""
    lines = ["| the provider | when | the caller gets | the next one is asked |", "|---|---|---|---|"]
    for row in ROWS:
        kind = {"": "", "whole": ", whole answer", "stream": ", stream"}[row.kind]
        too_late = CONTENT not in row.phases and row.kind == "stream"
        if row.harmless:
            got = "the answer"
        elif too_late:
            got = f"an error event, `{row.code}`"
        elif row.code is None:
            got = f"{row.shown or row.status} with the provider's own body"
            got += f", in process {row.status}" if row.shown else ""
        else:
            got = f"{row.status} `{row.code}`"
        bound = f" (`timeouts.{row.wait}`)" if row.wait else ""
        fails_over = "" if row.harmless else "yes" if row.fails_over and not too_late else "no"
        lines.append(f"| {WHAT[row.fault]} | {WHEN[tuple(row.phases)]}{kind} | {got}{bound} | {fails_over} |")
    return "\n".join(lines)
