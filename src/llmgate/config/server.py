"""What is said of the host: where it listens, whom it serves, and how much it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import attrs

LoopName: TypeAlias = Literal["auto", "asyncio", "uvloop"]
ServerName: TypeAlias = Literal["hypercorn", "uvicorn"]

__all__ = ["LoopName", "ServerConfig", "ServerName", "TlsConfig"]

_VERSIONS: Final = ("", "1.2", "1.3")
_ASKED: Final = ("required", "optional")


@attrs.frozen
class TlsConfig:
    """How the host speaks TLS.

    Args:
        cert: The file with its certificate and those between it and an authority, PEM.
        key: The file with the certificate's key, PEM, not encrypted.
        client_ca: The file with the authorities whose certificates clients show, PEM; empty to ask for none.
        client_certificates: Whether a client without one is turned away, ``required``, or let in to say otherwise who
            it is, ``optional``.
        client_crl: The file with the lists of certificates that those authorities have revoked, PEM; empty for none.
        minimum_version: The least version of TLS: ``1.2``, or ``1.3`` as where clients are asked for certificates.
    """

    cert: str
    key: str
    client_ca: str = ""
    client_certificates: str = "required"
    client_crl: str = ""
    minimum_version: str = ""

    def __attrs_post_init__(self) -> None:
        """Check what one field alone cannot tell."""
        if not self.cert or not self.key:
            raise ValueError("write cert and key, the files with the host's certificate and its key")
        if self.client_certificates not in _ASKED:
            raise ValueError(f"client-certificates: {self.client_certificates!r} is not one of {', '.join(_ASKED)}")
        if self.minimum_version not in _VERSIONS:
            raise ValueError(f"minimum-version: {self.minimum_version!r} is not one of 1.2, 1.3")
        if not self.client_ca and (self.client_crl or self.client_certificates != "required"):
            raise ValueError("client-ca: write whose certificates clients show")


@attrs.frozen
class ServerConfig:
    """The host.

    Args:
        use: Whose HTTP/1.1 reads requests: hypercorn's, or uvicorn's, which is faster and wants ``llmgate[fast]``. What
            is promised of deadlines, bounds, departures and refusals is the same.
        loop: The event loop; ``auto`` takes uvloop with uvicorn where it is installed, and asyncio's own otherwise.
        address: The address to listen on.
        port: The port; 0 takes a free one.
        tls: How it speaks TLS; None for not at all.
        allow_open: Whether the host may listen beyond loopback without client authentication.
        base_domain: Below which each vendor has a host of its own (``oai.llm.example.com`` for OpenAI); empty for none.
        hosts: ``Host`` names, beside loopback, that are served while authentication is off.
        workers: How many processes serve; each has connections, memory and counts of its own.
        local_share: Whether workers may divide limits that are kept in memory: each grants one part in ``workers``.
        shutdown_grace: Seconds after SIGTERM in which ``/ready`` says 503 and connections are still taken, for load
            balancers to notice.
        shutdown_timeout: Seconds that running requests get to finish after SIGTERM.
        restart_timeout: Seconds that a worker may take to finish what it is busy with once ``llmgate restart`` has put
            another one in its place.
        watch: Seconds between two looks at whether the configuration or ``.env`` has changed, which is then read again;
            0 for never.
        max_body_bytes: Upper bound of a JSON request body.
        max_upload_bytes: Upper bound of a request body that is passed on as it comes: forms with files, and whatever
            the direct relay does not read.
        max_spool_bytes: How much of a form is kept, in a temporary file, while the fields that decide where it goes
            have not come.
        max_headers: Upper bound of the number of request headers.
        max_header_bytes: Upper bound of the size of all request headers together.
        body_timeout: Seconds after which a request body must keep ``body_rate``.
        body_rate: Bytes per second.
        max_concurrent_requests: Upper bound of the requests that a worker serves at once, streams and sessions among
            them; beyond it requests wait, and then get 503.
        max_queued_requests: Upper bound of those that wait.
        queue_timeout: Seconds for which one waits.
        refusal_records: How many requests a second leave a record each that are refused before anything is known of
            them but their head; what there are more of is counted, and told by kind. 0 for none.
        send_timeout: Seconds that a client may refuse to take bytes.
        backlog: Length of the listen queue.
        max_requests_per_connection: Requests after which a kept-alive connection is closed.
        keep_alive_timeout: Seconds that an idle connection is kept.
        access_log: Whether each request is logged as one line of JSON.
    """

    use: ServerName = "hypercorn"
    loop: LoopName = "auto"
    address: str = "127.0.0.1"
    port: int = 8080
    tls: TlsConfig | None = attrs.field(default=None, metadata={"section": True})
    allow_open: bool = False
    base_domain: str = ""
    hosts: Sequence[str] = ()
    workers: int = 1
    local_share: bool = False
    shutdown_grace: float = 0.0
    shutdown_timeout: float = 30.0
    restart_timeout: float = 900.0
    watch: float = 0.0
    max_body_bytes: int = 64 * 1024 * 1024
    max_upload_bytes: int = 1024 * 1024 * 1024
    max_spool_bytes: int = 128 * 1024 * 1024
    max_headers: int = 100
    max_header_bytes: int = 16 * 1024
    body_timeout: float = 30.0
    body_rate: int = 1000
    max_concurrent_requests: int = 10_000
    max_queued_requests: int = 100
    queue_timeout: float = 0.05
    refusal_records: int = 10
    send_timeout: float = 30.0
    backlog: int = 4096
    max_requests_per_connection: int = 10_000
    keep_alive_timeout: float = 75.0
    access_log: bool = True

    @classmethod
    def restored(cls, fields: Mapping[str, Any]) -> ServerConfig:
        """The settings that were handed to another process as plain values."""
        tls = fields["tls"]
        return cls(**{**fields, "tls": None if tls is None else TlsConfig(**tls)})
