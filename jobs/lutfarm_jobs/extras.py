"""Which extra of lutfarm brings a package: without any, it reads tables and predicts."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from lutfarm_jobs.errors import ExtraMissing

# By the name that is imported; pyproject.toml has the other side, and a test holds them together.
EXTRAS: Mapping[str, str] = {
    "adb_shell": "adb",
    "ai_edge_litert": "tflite",
    "alembic": "farm",
    "fastapi": "server",
    "flatbuffers": "farm",
    "httpx": "client",
    "jinja2": "report",
    "matplotlib": "report",
    "onnx": "farm",
    "onnxruntime": "onnxruntime",
    "pandas": "pandas",
    "paramiko": "ssh",
    "polars": "polars",
    "prometheus_client": "metrics",
    "psutil": "farm",
    "psycopg": "postgresql",
    "ray": "ray",
    "sqlalchemy": "farm",
    "uvicorn": "server",
}


@contextmanager
def extras() -> Generator[None]:
    """Around imports: a package that an extra would bring, and that is not there, is ExtraMissing, which says what to type."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise ExtraMissing(
            f"{package} is not installed where lutfarm is, and this needs it; pip install 'lutfarm[{EXTRAS[package]}]'"
        ) from error
