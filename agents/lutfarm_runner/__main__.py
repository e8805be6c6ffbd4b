"""`supervise` is what a host starts; `probe` and `round` are the supervisor's children."""

from __future__ import annotations

import importlib
import sys
from typing import List

USAGE = "usage: runner supervise [DISTRIBUTION...]   (then commands on stdin: see docs/wire.md)\n"


def main() -> int:
    """Play the role that the first argument names.  Exit status: 0, or 2 for a wrong argument."""
    arguments: List[str] = sys.argv[1:]
    if arguments[:1] == ["supervise"]:
        from lutfarm_runner.supervisor import supervise

        supervise(arguments[1:])
        return 0
    if len(arguments) == 3 and arguments[0] in ("probe", "round"):
        from lutfarm_runner.child import inside_child

        role = importlib.import_module(f"lutfarm_runner.child.{arguments[0]}")
        inside_child.run_child(role.play, int(arguments[1]), int(arguments[2]))
    sys.stderr.write(USAGE)
    return 2


if __name__ == "__main__":
    sys.exit(main())
