"""The health of deployments as all workers of a gateway see it: counts added up, percentiles over all answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.host.surfaces.operations import described
from llmgate.pipeline.latencies import Percentiles
from llmgate.pipeline.pipeline import Pipeline

__all__ = ["TIMES", "merged", "seen_by"]

TIMES: Final = ("first_content", "total")
_WORST: Final = ("open", "half-open", "closed")


def seen_by(pipeline: Pipeline) -> Sequence[Mapping[str, Any]]:
    """What one process knows of each deployment, with the times of its last answers."""
    checkups = pipeline.snapshot.health.checkups(pipeline.clock)
    return [{**described(one), "times": [list(one.first_times), list(one.total_times)]} for one in checkups]


def merged(workers: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """What all workers together know of each deployment, sorted by its id.

    Args:
        workers: What each said: its number as ``worker`` and, as ``data``, what ``seen_by`` gives.
    """
    found: dict[tuple[str, str], list[tuple[int, Mapping[str, Any]]]] = {}
    for one in workers:
        for deployment in one["data"] or ():
            found.setdefault((deployment["id"], deployment["instance"]), []).append((one["worker"], deployment))
    return [_together(seen) for _, seen in sorted(found.items())]


def _together(seen: Sequence[tuple[int, Mapping[str, Any]]]) -> Mapping[str, Any]:
    views = [view for _, view in seen]
    worst = min(views, key=lambda view: (_WORST.index(view["state"]), _negated(view["trial_at"])))
    requests, errors = (sum(view[name] for view in views) for name in ("requests", "errors"))
    since = [view["out_since"] for view in views if view["out_since"] is not None]
    probes = [view["probe"] for view in views if view["probe"] is not None]
    shown = {
        **{name: value for name, value in worst.items() if name != "times"},
        "requests": requests,
        "errors": errors,
        "error_rate": round(errors / requests, 4) if requests else None,
        "answers": sum(view["answers"] for view in views),
        "out_since": min(since, default=None),
        "probe": worst["probe"] or (probes[-1] if probes else None),
        "dead": any(view["dead"] for view in views),
        "workers": [number for number, _ in seen],
        "left_out_by": [number for number, view in seen if view["state"] != "closed"],
    }
    for place, name in enumerate(TIMES):
        found = Percentiles.of([second for view in views for second in view["times"][place]])
        shown[f"{name}_seconds"] = found and {key: round(value, 4) for key, value in attrs.asdict(found).items()}
    return shown


def _negated(moment: str | None) -> tuple[int, ...]:
    """Sorts later moments first; they are written so that their text sorts like the time."""
    return tuple(-ord(char) for char in moment or "")
