"""``python -m llmgate``: the same as the ``llmgate`` command."""

from __future__ import annotations

import sys

from llmgate.cli import main

if __name__ == "__main__":
    sys.exit(main())
