"""Golden files: what was written once, was read by a person, and must not change unnoticed."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

from llmgate.spec import ProviderRequest

__all__ = ["assert_golden", "describe_request"]


def assert_golden(path: Path, actual: str, *, update: bool) -> None:
    """Compare text with a golden file.

    Args:
        path: The golden file.
        actual: What there is now.
        update: Whether to write the file anew (``--update-golden``); read the difference before you commit it.

    Raises:
        AssertionError: they differ, or there is no such file.
    """
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(actual, encoding="utf-8")
        return
    if not path.exists():
        raise AssertionError(f"there is no golden file {path}: run pytest with --update-golden and read what it wrote")
    golden = path.read_text(encoding="utf-8")
    if golden != actual:
        difference = difflib.unified_diff(
            golden.splitlines(keepends=True), actual.splitlines(keepends=True), "golden", "actual"
        )
        raise AssertionError(
            f"{path} is not what it was; if that is right, run pytest with --update-golden\n{''.join(difference)}"
        )


def describe_request(request: ProviderRequest, *, secret: str = "") -> str:
    """An HTTP request as text for a golden file: JSON, the credential masked, headers sorted.

    Args:
        request: The request.
        secret: The credential in it.
    """
    return _pretty(
        {
            "method": request.method,
            "url": request.url,
            "headers": {
                name: value.replace(secret, "***") if secret else value
                for name, value in sorted(request.headers.items())
            },
            "body": _readable(request.body),
        }
    )


def _readable(body: bytes | None) -> Any:
    if body is None:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "backslashreplace")


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
