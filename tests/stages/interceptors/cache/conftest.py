"""The scripted pipeline."""

from __future__ import annotations

from scripted import bench

__all__ = ["bench"]
