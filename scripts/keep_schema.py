"""Write tests/data/schema-REVISION.sql: a store with a little of everything, as this version writes it.

    .venv/bin/python scripts/keep_schema.py

Run once for each new revision of the schema, before the next one is begun; tests/integration/test_store_schemas.py opens all of
them with the version of the day.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # what fills the store is part of the tests

from tests.store_kit import fill  # noqa: E402

from lutfarm.store.sql.migrating import NEWEST  # noqa: E402
from lutfarm.store.sql.open import open_store  # noqa: E402


def main() -> None:
    """Refuses to overwrite: what a version wrote is not what a later one writes."""
    path = ROOT / "tests" / "data" / f"schema-{NEWEST}.sql"
    if path.exists():
        sys.exit(f"{path.relative_to(ROOT)} is kept already")
    with tempfile.TemporaryDirectory() as folder:
        with open_store(Path(folder)) as store:
            fill(store)
        with closing(sqlite3.connect(Path(folder) / "farm.db")) as db:
            path.write_text("\n".join(db.iterdump()) + "\n")
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
