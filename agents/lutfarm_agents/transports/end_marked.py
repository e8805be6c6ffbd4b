"""A shell's way to end all processes whose environment holds a mark, those that are being born among them."""

from __future__ import annotations

# $1 the mark, NAME=VALUE.  A process that is being born while the first ones end is found in the next turn.
END_MARKED = """turn=0
while [ $turn -lt 20 ]; do
    found=$(grep -l "$1" /proc/[0-9]*/environ 2>/dev/null)
    [ -n "$found" ] || break
    for path in $found; do
        pid=${path#/proc/}
        kill -9 "${pid%/environ}" 2>/dev/null
    done
    turn=$((turn + 1))
    sleep 0.05 2>/dev/null || sleep 1
done"""
