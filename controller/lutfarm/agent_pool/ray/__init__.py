"""Agents on many hosts; the only place that imports ray."""
