"""Does a device's shell say what a command says, and nothing else?

Text that a login file or a forced command prints stands before every answer: it breaks SFTP and whatever is read here.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from lutfarm_agents.sanitize import clean
from lutfarm_agents.transports.interface import RemoteProcess
from lutfarm_agents.transports.lines import TAIL_BYTES
from lutfarm_jobs.errors import NotReady, ReplyTimeout

ANSWER_S = 20.0  # login files of a busy board
REST_S = 2.0  # after the answer: for what is said last
MOST_BYTES = 4 * TAIL_BYTES
SILENCE = (
    "silence it: login files (~/.bashrc, ~/.profile, /etc/profile.d, ~/.ssh/rc) may print only where the shell is interactive "
    "(case $- in *i*) ;; *) return ;; esac), and a ForceCommand of sshd_config not at all"
)


def check(start: Callable[[str], RemoteProcess], name: str) -> None:
    """Have the shell say one word.  Raises NotReady where it says anything else, ReplyTimeout, LinkLost."""
    word = f"lutfarm-{secrets.token_hex(8)}"
    process = start(f"echo {word}")
    try:
        said, status = _heard(process, word.encode())
    finally:
        process.close()
    before, found, after = said.partition(word)
    if not found and status is not None:
        raise NotReady(
            f"{name} lets this user in and runs no command for it: exit status {status}{_quoted(said or process.stderr_tail)}; "
            "give the user a shell there (chsh), and see ForceCommand in sshd_config"
        )
    if not before.strip("\r\n") and not found:
        raise ReplyTimeout(f"{name}: its shell did not answer within {ANSWER_S:g} s; see what its login files wait for")
    for text, when in ((before, "before"), (after, "after")):
        if text.strip("\r\n") or text.count("\n") > (when == "after"):
            raise NotReady(f"{name}: its shell prints text {when} the output of a command{_quoted(text)}; {SILENCE}")
    if status is None:
        raise NotReady(
            f"{name}: what its shell starts at login keeps the output of every command open; "
            "start it there with >/dev/null 2>&1 </dev/null"
        )


def _heard(process: RemoteProcess, word: bytes) -> tuple[str, int | None]:
    """What came until it ended, and how it ended; None where it did not."""
    said = bytearray()
    deadline_s = time.monotonic() + ANSWER_S
    answered = False
    while data := process.read(max(0.0, deadline_s - time.monotonic())):
        said += data
        if len(said) > MOST_BYTES:
            break
        if not answered and word in said:
            answered, deadline_s = True, time.monotonic() + REST_S
    status = process.status(max(0.5, deadline_s - time.monotonic())) if data == b"" else None
    return said.decode("utf-8", "replace"), status


def _quoted(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return ", an empty line" if text else ""
    return f", its first line is {clean(lines[0], 200)!r}"
