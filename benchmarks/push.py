"""How fast files go to a phone and to a board: lutfarm's transports beside adb-shell's own push and paramiko's own SFTP."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from _device import scratch
from _table import Report, median_interval, options

sys.path.insert(0, str(Path(__file__).parents[1]))  # the rig is part of the tests

SIZE_BYTES = 64 << 20
LEAST_RATIO = 0.90


def timed(push: Callable[[], object]) -> float:
    """Megabytes a second."""
    began = time.perf_counter()
    push()
    return SIZE_BYTES / 1e6 / (time.perf_counter() - began)


def main() -> None:
    """Print one row a link."""
    chosen = options(__doc__)
    times = 5 if chosen.quick else 15
    import paramiko
    from adb_shell.adb_device import AdbDeviceTcp
    from tests.rig.board import Board, make_key
    from tests.rig.phone import Phone

    from lutfarm_agents.address import SshAddress
    from lutfarm_agents.transports.adb.transport import AdbTransport
    from lutfarm_agents.transports.ssh.transport import SshTransport

    report = Report(
        f"Pushing {SIZE_BYTES >> 20} MB, {times} times each in turn",
        ("link", "lutfarm MB/s", "alone MB/s", "ratio", "low", "high"),
    )
    with scratch() as folder:
        file = folder / "file"
        file.write_bytes(os.urandom(SIZE_BYTES))
        pairs: dict[str, list[tuple[float, float]]] = {}
        key = make_key(folder / "id")
        with (
            Phone("bench") as phone,
            closing(AdbTransport(phone.address, root="/data/local/tmp/l", keys=folder / "keys")) as ours,
        ):
            # On a link with packets of 1,500 bytes adb-shell hangs: it ignores how much of a write was taken.
            phone.link.widen()
            alone = AdbDeviceTcp(phone.link.address, phone.port)
            alone.connect(auth_timeout_s=5)
            pairs["ADB, beside adb-shell"] = in_turn(
                times,
                lambda: ours.put(file, "/data/local/tmp/l/a"),
                lambda: alone.push(str(file), "/data/local/tmp/b", read_timeout_s=60),
            )
            alone.close()
        with Board("bench", keys=[key], bind=[]) as board:
            address = SshAddress(board.link.address, "root", board.port, str(folder / "id"))
            client = paramiko.SSHClient()
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect(board.link.address, username="root", key_filename=str(folder / "id"), allow_agent=False)
            with closing(SshTransport(address, root="/home/board/l")) as ours, closing(client), client.open_sftp() as sftp:
                pairs["SSH, beside paramiko's SFTP"] = in_turn(
                    times, lambda: ours.put(file, "/home/board/l/a"), lambda: sftp.put(str(file), "/home/board/b")
                )
    for link, speeds in pairs.items():
        middle, low, high = median_interval([mine / other for mine, other in speeds])
        mine, other = (median_interval([pair[side] for pair in speeds])[0] for side in (0, 1))
        report.rows.append((link, mine, other, middle, low, high))
    enough = all(row[3] >= LEAST_RATIO for row in report.rows)
    report.notes.append(f"at least {LEAST_RATIO} of what the library alone reaches: {'yes' if enough else 'no'}")
    report.show(chosen)


def in_turn(times: int, ours: Callable[[], object], alone: Callable[[], object]) -> list[tuple[float, float]]:
    """Speeds of both, one after the other; the first of each is warm-up."""
    return [(timed(ours), timed(alone)) for _ in range(times + 1)][1:]


if __name__ == "__main__":
    main()
