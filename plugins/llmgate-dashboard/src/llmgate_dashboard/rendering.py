"""Templates become pages, and files become answers that browsers keep."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import jinja2

from llmgate.spec import PageAnswer

from . import amounts

__all__ = ["Press"]

_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = ("message.html", "overview.html", "request.html", "requests.html", "sign_in.html")
_FILES: Final = ("app.css", "app.js", "htmx.min.js", "icon.svg", "uPlot.iife.min.js", "uPlot.min.css")
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_KEPT: Final = "public, max-age=31536000, immutable"


@attrs.frozen(eq=False)
class Press:
    """Makes answers. Everything is read once, when it is made.

    Args:
        templates: By name.
        files: What pages load, by name.
        digest: Of all files; links have it, so that browsers may keep them for as long as they like.
    """

    templates: Mapping[str, jinja2.Template] = attrs.field(repr=False)
    files: Mapping[str, bytes] = attrs.field(repr=False)
    digest: str

    @classmethod
    def load(cls, title: str, zone: dt.tzinfo) -> Press:
        """Read templates and files."""
        env = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        for name in ("bytes_of", "count", "exact", "iso", "money", "percent"):
            env.filters[name] = getattr(amounts, name)
        env.filters["length_of"] = amounts.length
        env.filters["when"] = functools.partial(amounts.when, zone=zone)
        files = {name: (_HERE / "static" / name).read_bytes() for name in _FILES}
        digest = hashlib.sha256(b"".join(files.values())).hexdigest()[:16]
        env.globals.update(title=title, zone=str(zone), digest=digest)
        return cls({name: env.get_template(name) for name in _TEMPLATES}, files, digest)

    def page(
        self, name: str, status: int = 200, headers: tuple[tuple[str, str], ...] = (), **values: Any
    ) -> PageAnswer:
        """A page."""
        text = self.templates[name].render(**values)
        return PageAnswer(text.encode("utf-8", "replace"), status, headers=headers)

    def file(self, name: str) -> PageAnswer | None:
        """A file that pages load; None where there is none."""
        body = self.files.get(name)
        if body is None:
            return None
        kind = _TYPES[Path(name).suffix]
        return PageAnswer(body, content_type=f"{kind}; charset=utf-8", headers=(("cache-control", _KEPT),))
