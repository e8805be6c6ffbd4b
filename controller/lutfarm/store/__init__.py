"""The record of truth: jobs, devices, leases, probes, runs.  SQLAlchemy Core on SQLite or PostgreSQL."""

from lutfarm.records.job import Job, JobCounts
from lutfarm.store.interface import Store
from lutfarm.store.open import open_store

__all__ = ["Job", "JobCounts", "Store", "open_store"]
