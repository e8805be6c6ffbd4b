"""Labels as they are typed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.job_file.fields import NAME_PATTERN


def labels_of(texts: Iterable[str]) -> dict[str, str]:
    """By key.  Raises SpecError for what is no KEY=VALUE."""
    labels: dict[str, str] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not re.fullmatch(NAME_PATTERN, key) or not re.fullmatch(NAME_PATTERN, value):
            raise SpecError(f"the label {text[:80]!r}: KEY=VALUE is needed, of letters, digits, . _ -")
        labels[key] = value
    return labels
