"""`make docs` finds what the documentation names and is not there."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from scripts.check_docs import bad_commands, bad_links, bad_paths, bad_targets, code_of, slug


@dataclass(frozen=True)
class Option:
    opts: list[str]
    secondary_opts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Leaf:
    params: list[Option] = field(default_factory=list)


@dataclass(frozen=True)
class Group:
    commands: dict[str, Group | Leaf]
    params: list[Option] = field(default_factory=list)

    def get_command(self, _: None, name: str) -> Group | Leaf | None:
        return self.commands.get(name)


ROOT = Group(
    {"run": Leaf([Option(["--out"], ["--no-out"])]), "device": Group({"register": Leaf([Option(["--adb"])])})},
    [Option(["--version"])],
)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("lutfarm run job.yaml --out DIR", []),
        ("lutfarm run job.yaml --no-out --help", []),
        ("lutfarm device register NAME --adb | --serial", []),  # what follows a bar is another command's
        ("lutfarm --version", []),
        ("lutfarm device", []),
        ("make test  # what lutfarm runs with, and lutfarm walks", []),
        ("see controller/lutfarm/cli and lutfarm_agents register", []),
        ("$ .venv/bin/lutfarm walk", ["lutfarm walk"]),
        ("lutfarm device enlist NAME", ["lutfarm device enlist"]),
        ("lutfarm run job.yaml --into DIR", ["lutfarm run --into"]),
        ("lutfarm run a.yaml\nlutfarm device register --usb X", ["lutfarm device register --usb"]),
    ],
)
def test_commands(code: str, said: list[str]) -> None:
    assert [problem.split("`")[1] for problem in bad_commands(code, ROOT)] == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a](docs/a.md) [b](docs/a.md#the-lock) [c](#here) [d](https://example.org/x#y)", []),
        ("[a](docs/b.md)", ["docs/b.md: there is no such file"]),
        ("[a](docs/a.md#no)", ["docs/a.md#no: there is no such heading"]),
        ("[a](#the-lock)", ["#the-lock: there is no such heading"]),
    ],
)
def test_links(text: str, said: list[str]) -> None:
    anchors = {"": {"here"}, "docs/a.md": {"the-lock"}}
    found = bad_links(text, lambda file: file in anchors, lambda file: anchors[file])
    assert [problem.removeprefix("links to ") for problem in found] == said


def test_headings_become_anchors_as_github_makes_them() -> None:
    assert slug("Is the canary's reference right?") == "is-the-canarys-reference-right"
    assert slug("`lut diff`: two tables") == "lut-diff-two-tables"


def test_targets_of_make() -> None:
    assert list(bad_targets("$ make test\nmake no-such\nto make one", {"test"})) == [
        "names `make no-such`: there is no such target"
    ]


def test_paths() -> None:
    there = {"docs/jobs.md", "jobs/examples/"}
    code = "cp docs/jobs.md jobs/examples/ && cat docs/none.md ~/.lutfarm/agents/x.json agents/keys"
    assert list(bad_paths(code, there.__contains__)) == ["names docs/none.md: there is no such file"]


def test_code_is_told_from_text() -> None:
    text, code = code_of("Say `lutfarm run`, or\n\n```console\n$ lutfarm plan \\\n    --x\n```\n\n[a](b.md) `` `c` ``\n")
    assert code == ["$ lutfarm plan      --x\n", "lutfarm run", "`c`"]
    assert "lutfarm" not in text
    assert "[a](b.md)" in text
