"""Change the sources in small ways, one at a time, and count how many of the changes the tests notice.

    .venv/bin/python scripts/mutants.py [--sample 40] [--seed 1] [--group wire] [--json found.json]

For each group, `--sample` changes are drawn by chance from all those that mutmut can make in its files; what is left
out before drawing, and what a survivor is, says docs/mutants.md.  Everything is written below build/mutants.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TextIO, cast

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "mutants"
PACKAGES = (
    "controller/lutfarm",
    "agents/lutfarm_agents",
    "agents/lutfarm_runner",
    "device_profiles/lutfarm_profiles",
    "jobs/lutfarm_jobs",
)
GROUPS = {
    "scheduling": ["lutfarm/scheduling/*.py"],
    "statistics": ["lutfarm/statistics/*/*.py", "lutfarm/canary/*.py"],
    "tables": ["lutfarm/lut/*.py", "lutfarm/lut/*/*.py"],
    "store": ["lutfarm/store/*.py", "lutfarm/store/sql/*.py", "lutfarm/store/sql/rows/*.py"],
    "wire": ["lutfarm_agents/wire/*.py", "lutfarm_agents/fingerprint.py", "lutfarm_agents/sanitize.py", "lutfarm_runner/wire.py"],
    "locks": [
        "lutfarm_agents/lock_by_shell/*.py",
        "lutfarm_runner/device_lock.py",
        "lutfarm/devices/leases.py",
        "lutfarm_agents/process_identity.py",
    ],
}
# What runs in this process: a change in another process's copy is not seen by the coverage that picks the tests.
TESTS = (
    "tests/unit",
    *(f"tests/contract/test_store{part}.py" for part in ("", "_canary", "_leases")),
    "tests/contract/test_device_store.py",
    *(f"tests/runner/test_runner_{name}.py" for name in ("device_lock", "parts", "limits")),
    *(f"tests/integration/test_lut_{name}.py" for name in ("formats", "formats_hostile", "frames", "published_formats")),
    *(f"tests/integration/test_{name}.py" for name in ("beside", "process_identity", "store_reading")),
    *(
        f"tests/integration/test_store_trouble.py::test_{name}"
        for name in (
            "what_is_committed_has_reached_the_disk",
            "the_migrations_make_what_the_tables_say",
            "the_newest_revision_is_the_last_one",
            "who_will_write_keeps_other_writers_out_from_its_first_look_on_and_who_reads_nobody",
        )
    ),
)
PYTEST = ("-p", "no:cacheprovider")
SURVIVED, UNTESTED, KILLED, ENDED = {0}, {5, 33}, {1, 3}, {24, 36, 152, 255, -24, -11, -9}
PROSE = re.compile(r"[a-z]{2,},? [a-z]")


@dataclass(frozen=True)
class Drawn:
    """The changes drawn in one group, and those of them that no test noticed."""

    group: str
    drawn: int
    noticed: int
    survivors: dict[str, str]


class Meaning(ast.NodeTransformer):
    """Takes out what no result depends on: the words of a message, the type in a cast, the case of an encoding's name."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Message or encoding."""
        if isinstance(node.value, str):
            if PROSE.search(node.value.lower()) and not node.value.replace("XX", "").startswith(("BEGIN", "PRAGMA")):
                return ast.Constant("message")
            if node.value.lower() in ("utf-8", "ascii"):
                return ast.Constant(node.value.lower())
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Cast."""
        self.generic_visit(node)
        return node.args[1] if isinstance(node.func, ast.Name) and node.func.id == "cast" and len(node.args) == 2 else node


def main() -> int:
    """Draw, run, tell; 1 where a group is below `--least`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=40, help="changes for each group")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--group", choices=GROUPS, action="append", help="only this one; may be given again")
    parser.add_argument("--least", type=float, default=0.9, help="share that every group must reach")
    parser.add_argument("--again", action="store_true", help="keep which test runs what from the run before")
    parser.add_argument("--json", type=Path, help="write what was found here")
    told = parser.parse_args()
    groups = told.group or list(GROUPS)
    lay_out(groups, again=told.again)
    run("no-such-name", expected="nothing matches")
    names = {group: draw(group, told.sample, told.seed) for group in groups}
    run(*(name for drawn in names.values() for name in drawn))
    found = [judge(group, drawn) for group, drawn in names.items()]
    for one in found:
        print(f"{one.group}: {one.noticed} of {one.drawn} changes noticed ({one.noticed / one.drawn:.0%})")
        for name, change in one.survivors.items():
            print(f"  {name}\n{change}")
    if told.json:
        told.json.write_text(json.dumps({"seed": told.seed, "groups": [asdict(one) for one in found]}, indent=1))
    return int(any(one.noticed < told.least * one.drawn for one in found))


def lay_out(groups: Sequence[str], *, again: bool) -> None:
    """The packages side by side, as mutmut wants them, with the tests and what pytest and mutmut are to do."""
    before = WORK / "groups.json"
    if again and (not before.exists() or json.loads(before.read_text()) != sorted(groups)):
        sys.exit("--again goes on with the groups of the run before; leave it out for others")
    for stale in [WORK / "src", WORK / "tests", WORK / "mutants" / "tests"] if again else [WORK]:
        shutil.rmtree(stale, ignore_errors=True)
    without = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, WORK / "src" / Path(package).name, ignore=without)
    shutil.copytree(ROOT / "tests", WORK / "tests", ignore=shutil.ignore_patterns("__pycache__", "scripts"))  # not of packages
    pytest = (ROOT / "pyproject.toml").read_text().partition("[tool.pytest.ini_options]")[2].partition("\n[")[0]
    only = [f"src/{pattern}" for group in groups for pattern in GROUPS[group]]
    before.write_text(json.dumps(sorted(groups)))
    (WORK / "pyproject.toml").write_text(
        f"[tool.pytest.ini_options]{pytest}\n[tool.mutmut]\nsource_paths = ['src']\nonly_mutate = {only}\n"
        f"pytest_add_cli_args = {list(PYTEST)}\npytest_add_cli_args_test_selection = {list(TESTS)}\n"
        "timeout_multiplier = 4.0\ntimeout_constant = 4.0\nuse_git_change_detection = false\ntrack_dependencies = false\n"
    )


def run(*names: str, expected: str = "") -> None:
    """Run those; what mutmut says goes to a file, which is shown where it fails in another way than expected."""
    log = WORK / "mutmut.log"
    with log.open("w") as out:
        status = _mutmut("run", *names, out=out).returncode
    said = log.read_text(errors="replace")
    if (expected not in said) if expected else status:
        sys.exit(f"mutmut ended with {status}, see {log}:\n" + "\n".join(said.splitlines()[-40:]))


def _mutmut(*words: str, out: int | TextIO = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    # The same examples in every run, and no more threads than are counted.
    settings = {"CI": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [Path(sys.executable).with_name("mutmut"), *words]
    return subprocess.run(
        command, cwd=WORK, env={**os.environ, **settings}, stdout=out, stderr=subprocess.STDOUT, text=True, check=False
    )


def files(group: str) -> list[Path]:
    """Its mutated files, by their path below build/mutants."""
    found = {pattern: sorted((WORK / "src").glob(pattern)) for pattern in GROUPS[group]}
    if missing := [pattern for pattern, paths in found.items() if not paths]:
        sys.exit(f"{group}: there is no {', '.join(missing)}; name the file that has taken its place in {Path(__file__).name}")
    return [path.relative_to(WORK) for paths in found.values() for path in paths]


def results(group: str) -> Iterator[tuple[Path, str, int | None]]:
    """File, name and exit status of every change that mutmut can make there; None is not run."""
    for path in files(group):
        for name, status in json.loads((WORK / "mutants" / f"{path}.meta").read_text())["exit_code_by_key"].items():
            yield path, name, status


def draw(group: str, number: int, seed: int) -> list[str]:
    """That many changes that mean something, by chance, the same for the same seed and sources."""
    every = sorted((name, path) for path, name, _ in results(group))
    random.Random(f"{group} {seed}").shuffle(every)
    drawn = list(islice((name for name, path in every if means_something(path, name.rpartition(".")[2])), number))
    if not drawn:
        sys.exit(f"{group}: mutmut made no change in its files, see {WORK / 'mutmut.log'}")
    return drawn


def means_something(path: Path, name: str) -> bool:
    """Whether more differs than what no result depends on."""
    return _meaning(path, name) != _meaning(path, re.sub(r"__mutmut_\d+$", "__mutmut_orig", name))


def _meaning(path: Path, name: str) -> str:
    lines, spans = _written(path)
    first, last = spans[name]
    found = ast.parse(textwrap.dedent("\n".join(lines[first - 1 : last])))
    cast("ast.FunctionDef", found.body[0]).name = ""
    return ast.dump(Meaning().visit(found))


@cache
def _written(path: Path) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """The lines that mutmut wrote to one file, and which of them are which function."""
    told = WORK / "mutants" / path
    return told.read_text().split("\n"), json.loads(Path(f"{told}.spans").read_text())["spans"]


def judge(group: str, drawn: Sequence[str]) -> Drawn:
    """What became of them; ends where one was not run."""
    status = {name: ended for _, name, ended in results(group)}
    unknown = {name: status[name] for name in drawn if status[name] not in SURVIVED | UNTESTED | KILLED | ENDED}
    if unknown:
        sys.exit(f"{group}: {len(unknown)} of {len(drawn)} were not run or not judged, see {WORK / 'mutmut.log'}: {unknown}")
    survivors = {name: _mutmut("show", name).stdout for name in drawn if status[name] in SURVIVED | UNTESTED}
    return Drawn(group, len(drawn), len(drawn) - len(survivors), survivors)


if __name__ == "__main__":
    sys.exit(main())
