"""What is said of the host: where it listens, whom it serves, and how much it takes."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

__all__ = ["ServerConfig"]


@attrs.frozen
class ServerConfig:
    """The host.

    Args:
        address: The address to listen on.
        port: The port; 0 takes a free one.
        allow_open: Whether the host may listen beyond loopback without client authentication.
        base_domain: Below which each vendor has a host of its own (``oai.llm.example.com`` for OpenAI); empty for none.
        hosts: ``Host`` names, beside loopback, that are served while authentication is off.
        workers: How many processes serve; each has connections, memory and counts of its own.
        local_share: Whether workers may divide limits that are kept in memory: each grants one part in ``workers``.
        shutdown_grace: Seconds after SIGTERM in which ``/ready`` says 503 and connections are still taken, for load
            balancers to notice.
        shutdown_timeout: Seconds that running requests get to finish after SIGTERM.
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
        send_timeout: Seconds that a client may refuse to take bytes.
        backlog: Length of the listen queue.
        max_requests_per_connection: Requests after which a kept-alive connection is closed.
        keep_alive_timeout: Seconds that an idle connection is kept.
        access_log: Whether each request is logged as one line of JSON.
    """

    address: str = "127.0.0.1"
    port: int = 8080
    allow_open: bool = False
    base_domain: str = ""
    hosts: Sequence[str] = ()
    workers: int = 1
    local_share: bool = False
    shutdown_grace: float = 0.0
    shutdown_timeout: float = 30.0
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
    send_timeout: float = 30.0
    backlog: int = 4096
    max_requests_per_connection: int = 10_000
    keep_alive_timeout: float = 75.0
    access_log: bool = True
