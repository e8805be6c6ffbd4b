"""Settings of a Ray of our own, as it reads them: from the environment.  No Ray here."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.2"  # Ray turns 127.0.0.1 into the machine's outward address
OBJECT_STORE_BYTES = 200 * 1024**2  # of each machine

# Ray asks each node whether it is there, and takes it for dead after so many questions in a row that had no answer: 3 s after
# all of its processes were killed, at most 18 s after it was cut off or stood still (Ray's own defaults: up to 68 s).
HEALTH_CHECK = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
}


def settings(folder: Path, *, token: str = "") -> Mapping[str, str]:
    """Environment for Ray: a token in a file, of its own unless one is given, nothing sent home, no metrics collected."""
    kept = folder / "token"
    kept.touch(mode=0o600)
    kept.write_text(token or secrets.token_hex(32))
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(kept),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_enable_metrics_collection": "0",
        # Where prometheus-client is installed Ray's autoscaler serves its own metrics on all interfaces; no port, no server.
        "AUTOSCALER_METRIC_PORT": "-1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        **HEALTH_CHECK,
    }


@contextmanager
def environment(values: Mapping[str, str]) -> Generator[None]:
    """These variables in this process's environment, and what was there before at the end."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
