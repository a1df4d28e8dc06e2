"""Runs TensorZero's gateway by its client library, which has no other way to start it: ``... CONFIG_FILE``.

Imports nothing of llmgate: it runs in an environment of its own.
"""

from __future__ import annotations

import sys
import time

# no public name: the library starts it for other vendors' clients
from tensorzero import _start_http_gateway  # type: ignore[import-not-found]

if __name__ == "__main__":
    started = _start_http_gateway(
        config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
    )
    print(started.base_url, flush=True)
    while True:
        time.sleep(3600)
