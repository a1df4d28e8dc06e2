"""What all pages promise, kept by the dashboard, with a secret of its own and without."""

from __future__ import annotations

from llmgate_dashboard import Dashboard
from llmgate_dashboard.config import DashboardConfig

from llmgate.spec import SecretRef
from llmgate.testing.conformance import PagesConformance

PATHS = ("", "requests", "sign-in", "assets/app.js", "assets/app.css")


class TestDashboard(PagesConformance):
    stage_class = Dashboard
    paths = PATHS


class TestWithASecret(PagesConformance):
    stage_class = Dashboard
    config = DashboardConfig(session_secret=SecretRef("env", "SESSIONS"), title="Models of ours", zone="Europe/Berlin")
    secrets = {"env:SESSIONS": "0123456789abcdef0123456789abcdef"}  # noqa: RUF012 - as the kit declares it
    paths = PATHS
