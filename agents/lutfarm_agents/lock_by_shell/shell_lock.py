"""A device's lock where there is no Python: a shell on the device holds it, and runs native tools under it.

The lock is the supervisor's own (lutfarm_runner.device_lock, docs/wire.md): the same file, the same `flock`, the same content.
So either side waits for the other, shares the device with sessions of its own owner, and ends an older token of its own
lease; no clock decides, and no link or second file has to be kept true.

What can go wrong, and why it does no harm:

- Two take it at once.  The kernel gives LOCK_EX to one.  The way from exclusive to shared is not atomic: who gets LOCK_SH
  reads the content again, and gives the lock back where another owner wrote meanwhile.
- The holder ends while its tool runs on.  The tool has the lock's descriptor too, so the lock is not free before both are gone.
- The host dies.  Its end of the pipe closes and the holder ends after its tool; the next session of that machine ends both
  at once, by the token in their environment (`Transport.reap`).
- The host falls silent and no connection breaks.  A watchdog ends the holder's process group, the tool with it, once nothing
  has renewed it for STALE_S; while a tool runs the bound is the tool's own time limit plus STALE_S, so that nothing disturbs it.
- A newer token of the same lease, from a supervisor or from here.  The content names the holder's process, which leads its
  process group, and the group is ended: but only where a process of that id and start time has this very file open.  A signal
  could meet another process only if that one ended right after the look and its id came again at once.
- The file is replaced between two looks.  The descriptor is compared with the path after it was opened, and again after it
  was locked.  Who removes the file while it is held breaks the lock, here as with the supervisor.
- The content is anyone's to write.  It travels as base64, is read as JSON of known fields of bounded length on the host, and
  is shown without control characters.

Nothing of it is ever part of a command: words arrive on lines of their own and are quoted arguments from there on.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from lutfarm_agents.device import Claim
from lutfarm_agents.sanitize import clean
from lutfarm_agents.transports.end_marked import END_MARKED
from lutfarm_agents.transports.interface import Channel, Completed, Transport
from lutfarm_jobs.errors import LinkError, LinkLost, NotReady, ProtocolMismatch, ReplyTimeout, SpecError
from lutfarm_runner.commands import Lock
from lutfarm_runner.device_lock import CORRECT, Content, may_take_over, parse

STALE_S = 60  # without a sign of the host for so long, the holder ends itself
RENEW_S = 20.0
WAIT_S = 4.0  # between two attempts: somebody measures there
SOON_S = 0.5  # after an older session was ended
ANSWER_S = 20.0
END_S = 20.0  # until a tool that was told to end is gone
OUTPUT_LIMIT_BYTES = 1 << 20
MOST_BAD_LINES = 1000  # that are not UTF-8, of one tool

# $@: a script, its name, its arguments.  The holder leads a process group, so that ending the group ends its tool.
LEAD = """command -v flock >/dev/null || { echo "lacks flock"; exit 0; }
command -v setsid >/dev/null || { echo "lacks setsid"; exit 0; }
IFS= read -r line </proc/$$/stat
group=$(set -f; set -- ${line##*) }; echo "$3")
[ "$group" != "$$" ] || exec sh -c "$@"
exec setsid sh -c "$@"
"""

# $1 the lock's file.  Commands come a line each, answers go a line each.  Descriptor 9 is the lock; mksh keeps it from what it
# starts, so that it is handed on as 8 and 7.
HOLD = r"""lock=$1 dog=
of() {
    group= start=
    IFS= read -r line 2>/dev/null <"/proc/$1/stat" || return 1
    set -f
    set -- ${line##*) }
    set +f
    group=$3 start=${20}
}
refuse() { echo "refused $1"; return 1; }
same() { [ ! -L "$lock" ] && [ "/proc/$$/fd/9" -ef "$lock" ]; }
opened() {
    [ ! -L "$lock" ] || refuse "it is a symbolic link" || return 1
    [ ! -e "$lock" ] || [ -f "$lock" ] || refuse "it is no plain file" || return 1
    umask 0
    why=$( (: 9<>"$lock") 2>&1 ) || { umask 077; set -f; echo refused $why; set +f; return 1; }
    exec 9<>"$lock"
    umask 077
    same || refuse "it comes and goes" || return 1
    set -- $(ls -ld "$lock")
    [ "$2" = 1 ] || refuse "it has more than one name"
}
content() { head -c 16384 "$lock" 2>/dev/null; }
take() {
    opened || return
    flock -n -x 8 8<&9 || { echo held; return; }
    same || { flock -u 8 8<&9; echo held; return; }
    printf %s "$1" >"$lock"
    if [ "$(content)" != "$1" ]; then flock -u 8 8<&9; refuse "it can't be written"; return; fi
    if flock -n -s 8 8<&9 && [ "$(content)" = "$1" ]; then echo ours; return; fi
    flock -u 8 8<&9
    echo held
}
end() {
    of "$1" && [ "$start" = "$2" ] && [ "$1" != "$$" ] || { echo unproved; return; }
    leads=$group
    for fd in "/proc/$1/fd"/*; do
        [ "$fd" -ef "/proc/$$/fd/9" ] || continue
        if [ "$leads" = "$1" ]; then kill -9 "-$1"; else kill -9 "$1"; fi
        echo ended
        return
    done
    echo unproved
}
keep() {
    [ -z "$dog" ] || kill "$dog" 2>/dev/null
    (
        trap 'kill "$nap" 2>/dev/null; exit 0' TERM
        sleep "$1" &
        nap=$!
        wait "$nap"
        kill -9 "-$$"
    ) 9>&- </dev/null >/dev/null 2>&1 &
    dog=$!
}
run() {
    token=$1 count=$2
    set --
    while [ $# -lt "$count" ]; do
        IFS= read -r word || exit 0
        set -- "$@" "$word"
    done
    LUTFARM_TOOL=$token "$@" </dev/null 2>&1 7<&9
    status=$?
    echo
    echo "ended-$token $status"
}
of $$
echo "holder $$ $start"
while read -r verb one two; do
    case $verb in
    take) IFS= read -r wanted || exit 0; take "$wanted" ;;
    show) set -f; echo content $(content | base64); set +f ;;
    join) if flock -n -s 8 8<&9; then echo joined; else echo held; fi ;;
    leave) flock -u 8 8<&9; echo left ;;
    end) end "$one" "$two" ;;
    keep) keep "$one" ;;
    run) run "$one" "$two" ;;
    esac
done
[ -z "$dog" ] || kill "$dog" 2>/dev/null
exit 0
"""


def argv(lock_path: str) -> list[str]:
    """What to spawn on the device for a ShellLock."""
    return ["sh", "-c", LEAD, "sh", HOLD, "sh", lock_path]


def _remedy(why: str) -> str:
    """For a lock that the device's shell refused."""
    if "symbolic link" in why or "more than one name" in why:
        return f"remove it, or {CORRECT}"
    if "can't be written" in why or "No space left" in why:
        return f"free space there, give access to it, or {CORRECT}"
    return f"give access to it, or {CORRECT}" if "ermission denied" in why else CORRECT


class ShellLock:
    """The host's side of one.  One command at a time; `end_tool` and the renewals come from other threads."""

    def __init__(self, channel: Channel, transport: Transport, name: str, lock_path: str) -> None:
        self._channel = channel
        self._transport = transport
        self._name = name
        self._path = lock_path
        self._sending = threading.Lock()
        self._closed = threading.Event()
        self._renewed_s = 0.0  # on time.monotonic
        self._token = ""  # of the tool that runs
        self._pid, self._start = self._greeting()

    def _greeting(self) -> tuple[int, int]:
        said = self._answer()
        if found := re.fullmatch(r"holder (\d{1,10}) (\d{1,20})", said):
            return int(found[1]), int(found[2])
        if said.startswith("lacks "):
            raise NotReady(
                f"{self._name}: it has no {clean(said[6:], 20)}, which holds its lock where there is no Python; "
                "install util-linux, toybox or busybox there, or give it a bundle"
            )
        raise ProtocolMismatch(f"{self._name}: its shell said {clean(said, 80)!r} instead of who holds the lock")

    def take(self, claim: Claim, cancelled: threading.Event) -> Iterator[str]:
        """Take the lock; yields who has it while it waits.  Returns without it only where cancelled.

        Raises NotReady where the lock's file can't be used, LinkError.
        """
        wanted = Lock(self._path, claim.owner, claim.holder, claim.farm_id, claim.token, claim.device)
        content = json.dumps(
            asdict(
                Content(claim.owner, claim.holder, claim.farm_id, claim.token, claim.device, self._pid, self._start, time.time())
            )
        )
        while not cancelled.is_set():
            self._keep(0.0)
            found = self._attempt(wanted, content)
            if found is None:
                threading.Thread(target=self._renew, name=f"lock of {self._name}", daemon=True).start()
                return
            yield clean(found.holder, 500)
            ended = may_take_over(wanted, found) and found.pid > 1 and self._ask(f"end {found.pid} {found.pid_start}") == "ended"
            cancelled.wait(SOON_S if ended else WAIT_S)

    def _attempt(self, wanted: Lock, content: str) -> Content | None:
        """None: it is ours.  Otherwise who has it."""
        said = self._ask(f"take\n{content}")
        if said == "ours":
            return None
        if said.startswith("refused"):
            why = clean(said[8:], 300)
            raise NotReady(f"{self._name}: the lock {self._path} can't be used: {why}; {_remedy(why)}")
        found = self._content()
        if found.owner and found.owner == wanted.owner and self._ask("join") == "joined":
            if self._content().owner == wanted.owner:
                return None
            self._ask("leave")
        return found

    def _content(self) -> Content:
        said = self._ask("show")
        if not re.fullmatch(r"content[A-Za-z0-9+/= ]*", said):
            raise ProtocolMismatch(f"{self._name}: its shell said {clean(said, 80)!r} where the lock's content was due")
        try:
            return parse(base64.b64decode(said[len("content") :].replace(" ", ""), validate=True))
        except binascii.Error:
            return Content()

    def run(self, words: Sequence[str], timeout_s: float) -> Completed:
        """Run a tool under the lock, to its end.  Raises ReplyTimeout, and it is ended; LinkLost over 1 MiB of output."""
        if any("\n" in word or "\0" in word for word in words):
            raise SpecError(f"{self._name}: a tool's argument can't hold a newline")
        token = secrets.token_hex(16)
        with self._sending:  # no renewal comes between: it would shorten the bound again
            self._token = token
        try:
            self._keep(timeout_s)
            self._send("\n".join([f"run {token} {len(words)}", *words]))
            code, said = self._output(token, time.monotonic() + timeout_s)
        except ReplyTimeout as error:
            self.end_tool()
            try:
                self._output(token, time.monotonic() + END_S)
            except ReplyTimeout:
                raise LinkLost(f"{self._name}: a tool could not be ended") from error
            raise ReplyTimeout(f"{words[0][:80]} on the device did not end within {timeout_s:g} s") from error
        finally:
            self._token = ""
            with contextlib.suppress(LinkError):
                self._keep(0.0)
        return Completed(128 - code if code > 128 else code, said, "")

    def _output(self, token: str, deadline_s: float) -> tuple[int, bytes]:
        """Exit status as the shell says it, and what the tool said up to then."""
        said = bytearray()
        bad = 0
        while True:
            try:
                line = self._channel.receive(max(0.0, deadline_s - time.monotonic()))
            except ProtocolMismatch:  # it printed something that is no text; the next line may be
                bad += 1
                if bad > MOST_BAD_LINES:
                    raise
                continue
            if found := re.fullmatch(rf"ended-{token} (\d{{1,3}})", line):
                return int(found[1]), bytes(said)
            said += line.encode() + b"\n"
            if len(said) > OUTPUT_LIMIT_BYTES:
                self.end_tool()
                raise LinkLost(f"{self._name}: a tool said more than {OUTPUT_LIMIT_BYTES} bytes")

    def end_tool(self) -> None:
        """End the tool that runs, if one does."""
        if token := self._token:
            with contextlib.suppress(LinkError):
                self._transport.run(["sh", "-c", END_MARKED, "sh", f"LUTFARM_TOOL={token}"])

    def close(self) -> None:
        """No more renewals.  Whoever spawned the channel ends the rest."""
        self._closed.set()

    def _renew(self) -> None:
        """Now and then between two orders; not while a tool runs."""
        while not self._closed.wait(RENEW_S / 4):
            try:
                with self._sending:
                    if not self._token and time.monotonic() - self._renewed_s >= RENEW_S:
                        self._renewed_s = time.monotonic()
                        self._channel.send(f"keep {STALE_S}")
            except LinkError:  # the next command says it
                return

    def _keep(self, busy_s: float) -> None:
        """The host is there, and may be silent for so long."""
        self._renewed_s = time.monotonic()
        self._send(f"keep {int(busy_s) + STALE_S}")

    def _ask(self, command: str) -> str:
        self._send(command)
        return self._answer()

    def _send(self, command: str) -> None:
        with self._sending:
            self._channel.send(command)

    def _answer(self) -> str:
        return self._channel.receive(ANSWER_S)
