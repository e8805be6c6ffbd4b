"""`lutfarm db upgrade|check|export|import|backup|restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import Column, HomeOption, JsonOption, plain, print_json, print_rows, printable, say
from lutfarm.cli.which_farm import SERVER, server
from lutfarm.home import Home, find_home
from lutfarm.store import open_store
from lutfarm_jobs.errors import SpecError

FileArgument = Annotated[Path, typer.Argument(metavar="FILE")]


def upgrade(home: HomeOption = None, json: JsonOption = False) -> None:
    """Bring the database to this version's schema, as every command does that opens it; whole or not at all."""
    with (
        exit_codes.exits("interrupted; the schema is that of before, or this version's"),
        open_store(_here(home).path, begun=True) as store,
    ):
        if json:
            print_json({"store": store.place, "schema": store.schema()})
        else:
            say(printable(f"{store.place} has the schema {store.schema()}, which is the newest that this lutfarm knows"))


def check(home: HomeOption = None, json: JsonOption = False) -> None:
    """Is the database sound: its files, the links between its tables, what every row holds?  Exit 0 if it is, 4 if not."""
    with exit_codes.exits("interrupted; not all of it was looked at"):
        with open_store(_here(home).path, to_read=True) as store:
            faults, counts = list(store.faults()), store.row_counts()
            if json:
                print_json({"store": store.place, "faults": [plain(fault) for fault in faults], "rows": counts})
            else:
                if faults:
                    print_rows([Column("where", "key"), Column("what", "prose")], [[f.where, f.what] for f in faults])
                said = f"{len(faults)} faults" if faults else "nothing is wrong"
                say(printable(f"{store.place}: {said} in {sum(counts.values())} rows, {counts['runs']} of them runs"))
        if faults:
            raise typer.Exit(exit_codes.STORE_TROUBLE)


def export(file: FileArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Write one moment of the database to a new SQLite file, whatever it is in, while others go on."""
    with exit_codes.exits("interrupted; nothing was written"):
        with open_store(_here(home).path, to_read=True) as store:
            store.write_copy(file)
            counts = store.row_counts()
        if json:
            print_json({"file": str(file), "rows": counts})
        else:
            say(printable(f"wrote {file}: lutfarm db import reads it into an empty store, also of the other kind"))


def import_(file: FileArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Fill an empty store from a file that `db export` wrote; all of it or nothing."""
    with exit_codes.exits("interrupted; nothing of it was stored"), open_store(_here(home).path) as store:
        store.take_copy(file)
        counts = store.row_counts()
        if json:
            print_json({"store": store.place, "rows": counts})
        else:
            say(printable(f"{store.place} has {counts['jobs']} jobs, {counts['runs']} runs and {counts['devices']} devices"))
            say("use this one or the one that it came from, not both: each would think that the devices are its own")


def backup(file: FileArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Write the farm to a new file, while others go on: database, ADB keys, jobs that were sent to it, your own profiles."""
    with exit_codes.exits("interrupted; no backup was written"):
        from lutfarm.store.backup import back_up

        files = back_up(_here(home), file)
        if json:
            print_json({"file": str(file), "files": files})
        else:
            say(printable(f"wrote {file} with {files} files; only you may read it, as keys may be among them"))


def restore(file: FileArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Make a home of a backup; it must be empty or not there."""
    with exit_codes.exits("interrupted; nothing was restored"):
        from lutfarm.store.backup import restore as restored

        place = _here(home)
        found = restored(file, place)
        if json:
            print_json({"home": str(place.path), **plain(found)})
            return
        say(printable(f"{place.path} has the farm of {file}, {found.files} files"))
        for name in found.profiles:
            say(printable(f"the profile {name} is among your own again"))
        for name in found.profiles_kept:
            say(printable(f"you have another profile {name}, which stays as it is; the one in the backup was left out"))


def _here(home: Path | None) -> Home:
    """A database is reached where the farm is, not through its server."""
    if server():
        raise SpecError(f"{SERVER} names {server()}, and this works on a farm's own machine: run it there, or unset {SERVER}")
    return find_home(home)
