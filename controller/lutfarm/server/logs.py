"""What the processes of a served farm say, on standard error: a JSON object a line, with the ids of what it is about."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """`time` (UTC), `level`, `process`, `what`, and whatever else was said by `extra`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line; what is no JSON becomes text."""
        said = {name: value for name, value in vars(record).items() if name not in _KNOWN and not name.startswith("_")}
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        first = {"time": at, "level": record.levelname.lower(), "process": self._process, "what": record.getMessage()}
        return json.dumps(first | said, default=str)


def log_lines(process: str, *, level: int = logging.INFO) -> None:
    """From now on, for this process: everything from `level` on goes to standard error."""
    to_error = logging.StreamHandler(sys.stderr)
    to_error.setFormatter(JsonLines(process))
    logging.basicConfig(level=level, handlers=[to_error], force=True)
    for loud in (
        "httpx",
        "httpcore",
        "uvicorn.access",
        "uvicorn.error",
        "alembic",
    ):  # a line for each request, each start, each table
        logging.getLogger(loud).setLevel(logging.WARNING)
