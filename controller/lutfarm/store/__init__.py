"""The record of truth: jobs, devices, leases, probes, runs.  SQLAlchemy Core; SQLite by default."""
