"""Whether what the documentation names is there: linked files and headings, commands and their options, make targets, paths.

    .venv/bin/python scripts/check_docs.py      # make docs

Looks at every tracked .md file.  Links into the web are not followed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOPS = ("controller", "agents", "device_profiles", "jobs", "tests", "deploy", "docs", "benchmarks", "scripts")

FENCED = re.compile(r"^(?P<fence>```+)[^\n]*\n(?P<code>.*?)^(?P=fence)`*[ ]*$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)(`+)(?!`)(?P<code>.+?)(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^()\s]+)\)")
HEADING = re.compile(r"^#{1,6}[ ]+(?P<text>.+?)[ ]*$", re.MULTILINE)
COMMAND = re.compile(r"(?:^|(?<=[\s/]))lutfarm(?P<words>(?:[ ]+[^\s|;&#)`]+)+)", re.MULTILINE)
MAKE = re.compile(r"(?:^|(?<=[$;&]\s))make[ ]+(?P<target>[a-z][a-z-]*)", re.MULTILINE)
PATH = re.compile(
    rf"(?<![\w./-])(?:{'|'.join(TOPS)})/(?:[\w./*-]*(?:/|\.[a-z]+))?(?![\w/])"
)  # `agents/keys` lies in a farm's home


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


def code_of(text: str) -> tuple[str, list[str]]:
    """The text without its code, and the code: blocks, then what stands in a line."""
    blocks = [found["code"].replace("\\\n", " ") for found in FENCED.finditer(text)]
    rest = FENCED.sub("\n", text)
    return INLINE.sub("``", rest), blocks + [" ".join(found["code"].split()) for found in INLINE.finditer(rest)]


def bad_links(text: str, exists: Callable[[str], bool], anchors: Callable[[str], Collection[str]]) -> Iterator[str]:
    """`exists(file)` and `anchors(file)` of a file as it is linked; "" is the text's own."""
    for found in LINK.finditer(text):
        target = found["target"]
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        if file and not exists(file):
            yield f"links to {target}: there is no such file"
        elif anchor and anchor not in anchors(file):
            yield f"links to {target}: there is no such heading"


def bad_commands(code: str, root: Any) -> Iterator[str]:
    """`root`: the command line, as click has it: `params`, and `get_command` where it is a group."""
    for found in COMMAND.finditer(re.sub(r"(?m)(^|\s)#.*", "", code)):
        words, at, known = found["words"].split(), 0, root
        while at < len(words) and hasattr(known, "get_command") and re.fullmatch(r"[a-z][a-z-]*", words[at]):
            inner = imported(known, words[at])
            if inner is None:
                yield f"names `lutfarm {' '.join(words[: at + 1])}`: there is no such command"
                break
            known, at = inner, at + 1
        else:
            options = {name for one in known.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
            for word in words[at:]:
                option = re.match(r"--[a-z][a-z-]*", word)
                if option and option[0] not in options:
                    yield f"names `lutfarm {' '.join(words[:at])} {option[0]}`: there is no such option"


def bad_targets(code: str, targets: Collection[str]) -> Iterator[str]:
    """`targets`: what make knows."""
    for found in MAKE.finditer(code):
        if found["target"] not in targets:
            yield f"names `make {found['target']}`: there is no such target"


def bad_paths(code: str, exists: Callable[[str], bool]) -> Iterator[str]:
    """`exists(path)` of a path in the repository, which may hold a *."""
    for found in PATH.finditer(code):
        path = found[0].rstrip(".")
        if not exists(path):
            yield f"names {path}: there is no such file"


def imported(group: Any, name: str) -> Any:
    """A command of a group; of a lazy group it is imported, which the group itself leaves to the moment when it is used."""
    lazy = getattr(group, "lazy", {})
    return lazy[name].load(name) if name in lazy else group.get_command(None, name)


def main() -> None:
    """Prints what is not there, and exits 1 where anything isn't."""
    import typer

    from lutfarm.cli import app

    root = typer.main.get_command(app)
    tracked = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    bad: list[str] = []
    for name in tracked:
        file = ROOT / name
        text, code = code_of(file.read_text())

        def anchors(linked: str, file: Path = file) -> set[str]:
            target = file.parent / linked if linked else file
            return {slug(found["text"]) for found in HEADING.finditer(FENCED.sub("", target.read_text()))}

        problems = list(bad_links(text, lambda linked, file=file: (file.parent / linked).exists(), anchors))
        for piece in code:
            problems += bad_commands(piece, root)
            problems += bad_targets(piece, targets)
            problems += bad_paths(piece, lambda path: any(ROOT.glob(path.rstrip("/"))))
        bad += [f"{name}: {problem}" for problem in problems]
    print("\n".join(bad) or f"{len(tracked)} files: every link, command, option, make target and path is there")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
