"""From the stored runs of a job to its table."""

from __future__ import annotations

