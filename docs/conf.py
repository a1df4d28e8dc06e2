"""Sphinx settings: Markdown by MyST, Furo, and warnings are errors (``make docs``)."""

from __future__ import annotations

from importlib.metadata import version as installed

project = "llmgate"
author = "The llmgate authors"
copyright = "2026, The llmgate authors"  # Sphinx's own name
release = version = installed("llmgate")

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["deflist", "colon_fence"]
nitpicky = True

html_theme = "furo"
html_title = f"llmgate {release}"
# Nothing is fetched by a reader's browser either: no fonts, no scripts from elsewhere.
html_use_opensearch = ""
