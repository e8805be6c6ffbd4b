"""What every input of one model file holds: as the job gives it, else by the rules of docs/jobs.md."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast

from lutfarm_jobs.errors import ModelRefused, SpecError
from lutfarm_jobs.feeds import files
from lutfarm_jobs.feeds.analysis import Analysis, analysed
from lutfarm_jobs.feeds.choices import WORDS
from lutfarm_jobs.feeds.given import MOST_INLINE, Given, given
from lutfarm_jobs.feeds.made import made, on_host
from lutfarm_jobs.feeds.rules import assumed
from lutfarm_jobs.feeds.values import LARGEST_VALUES_BYTES, Absent, Tensor, Value, packed
from lutfarm_jobs.measurement import Feed, Fill, InputShape
from lutfarm_jobs.models.info import ModelInfo, ModelInput
from lutfarm_jobs.models.inspect import resolve_inputs
from lutfarm_jobs.round import Artifact

_INPUT_FILE = re.compile(r"input_(\d{1,6})\.pb")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a job says of its models' inputs; paths in `values` are relative to `folder`, `test_data` to a model's."""

    folder: Path
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    values: Mapping[str, object] = field(default_factory=dict[str, object])
    test_data: str | None = None


@dataclass(frozen=True, slots=True)
class ValuesFile:
    """The file in which those values of a model's inputs travel that a command can't hold; made anew when it is needed."""

    artifact: Artifact
    info: ModelInfo
    asked: Asked

    def content(self) -> bytes:
        """Raises SpecError where a file that it is made of changed since."""
        content = packed(_resolved(self.info, self.asked).values, self.info.format)
        if hashlib.sha256(content).hexdigest() != self.artifact.sha256:
            changed = "the files with its inputs' values changed since the job was read"
            raise SpecError(f"{self.info.path}: {changed}; run the job again")
        return content


@dataclass(frozen=True, slots=True)
class Feeding:
    """`inputs` as in Workload; `feeds` one for each input; `values_file` where some of them lie in one."""

    inputs: tuple[InputShape, ...]
    feeds: tuple[Feed, ...]
    values_file: ValuesFile | None = None
    computes: bool = True


def feeding(info: ModelInfo, asked: Asked) -> Feeding:
    """Raises SpecError naming file and field for values that the model does not take, and for shapes that are left open.

    That is ModelRefused where it is the test data beside the model that can't be used.
    """
    resolved = _resolved(info, asked)
    if not resolved.values:
        return Feeding(resolved.inputs, resolved.feeds, computes=resolved.computes)
    try:
        content = packed(resolved.values, info.format)
    except ValueError as error:
        raise SpecError(f"{info.path}: values: {error}") from error
    suffix: Literal[".onnx", ".npz"] = ".onnx" if info.format == "onnx" else ".npz"
    artifact = Artifact(hashlib.sha256(content).hexdigest(), len(content), suffix)
    return Feeding(resolved.inputs, resolved.feeds, ValuesFile(artifact, info, asked), resolved.computes)


@dataclass(frozen=True, slots=True)
class _Resolved:
    inputs: tuple[InputShape, ...]
    feeds: tuple[Feed, ...]
    values: tuple[Value, ...]
    computes: bool


def _resolved(info: ModelInfo, asked: Asked) -> _Resolved:
    said = _test_data(info, asked.test_data) if asked.test_data is not None else _gathered(info, asked)
    inputs = resolve_inputs(info, _shapes(info, asked, said))
    shapes = {declared.name: tuple(1 if size is None else size for size in declared.shape or ()) for declared in info.inputs}
    shapes |= {one.name: one.shape for one in inputs}
    analysis = analysed(info)
    feeds: list[Feed] = []
    values: list[Value] = []
    for declared in info.inputs:
        feed, value = _feed(declared, said.get(declared.name), analysis, shapes)
        feeds.append(feed)
        values += [] if value is None else [value]
    size_bytes = sum(value.array.nbytes for value in values if isinstance(value, Tensor))
    if size_bytes > LARGEST_VALUES_BYTES:
        raise SpecError(f"{info.path}: values: all together have {size_bytes} bytes; {LARGEST_VALUES_BYTES} is the most")
    return _Resolved(inputs, tuple(feeds), tuple(values), analysis.computes)


def _feed(
    declared: ModelInput, said: Given | None, analysis: Analysis, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Feed, Value | None]:
    shape = shapes[declared.name]
    feed = (
        assumed(declared, shape, analysis.roles.get(declared.name, ()), shapes)
        if said is None
        else Feed(declared.name, said.fill, said.said, given=True)
    )
    feed = replace(feed, decides=declared.name in analysis.decided)
    if feed.fill.kind == "absent":
        return feed, None
    value = None if said is None else said.value
    if value is None and on_host(declared):
        value = made(declared, feed.fill, shape)
    if value is None and feed.fill.kind == "values" and len(feed.fill.numbers) > MOST_INLINE:
        value = made(declared, feed.fill, shape)
    return feed if value is None else replace(feed, fill=Fill("file")), value


def _gathered(info: ModelInfo, asked: Asked) -> dict[str, Given]:
    values: dict[str, Given] = {}
    for declared in (one for one in info.inputs if one.name in asked.values):
        where = f"{info.path}: values.{declared.name}"
        choice = asked.values[declared.name]
        try:
            path, array = _file(choice, declared)
            if path is None:
                values[declared.name] = given(choice, declared)
            else:
                values[declared.name] = _of_file(files.read(asked.folder / path, declared, array), path)
        except ValueError as error:
            raise SpecError(f"{where}: {error}") from error
        shape = values[declared.name].shape
        if shape is not None and not declared.takes(shape):
            raise SpecError(f"{where} has the shape {list(shape)}; the model's input is {declared.text}")
    return values


def _file(choice: object, declared: ModelInput) -> tuple[str | None, str | None]:
    """The path that a choice names, and the array in it, if it names one."""
    if isinstance(choice, dict):
        named = cast("dict[str, str]", choice)
        return named.get("file"), named.get("array")
    if isinstance(choice, str) and choice not in WORDS and declared.dtype != "string":
        return choice, None
    return None, None


def _of_file(value: Value | Absent, name: str) -> Given:
    if isinstance(value, Absent):
        return Given(Fill("absent"), name)
    return Given(Fill("file"), name, value.shape if isinstance(value, Tensor) else None, value)


def _test_data(info: ModelInfo, folder: str) -> dict[str, Given]:
    """ONNX's own test data: input_0.pb is the first input, and so on."""
    path = info.path.parent / folder
    where = f"{info.path}: test_data {folder!r}"
    try:
        numbers = sorted(int(match[1]) for entry in path.iterdir() if (match := _INPUT_FILE.fullmatch(entry.name)))
    except OSError as error:
        raise ModelRefused(f"{where}: {path} can't be read: {error.strerror}") from error
    if numbers != list(range(len(numbers))) or len(numbers) > len(info.inputs):
        seen = ", ".join(f"input_{number}.pb" for number in numbers[:10]) or "none"
        most = len(info.inputs) - 1
        raise ModelRefused(f"{where}: it should hold input_0.pb to input_{most}.pb, one for each input, and has {seen}")
    values: dict[str, Given] = {}
    for number in numbers:
        name = f"input_{number}.pb"
        try:
            values[info.inputs[number].name] = _of_file(files.read(path / name, info.inputs[number]), f"{folder}/{name}")
        except ValueError as error:
            raise ModelRefused(f"{where}: {error}") from error
    return values


def _shapes(info: ModelInfo, asked: Asked, said: Mapping[str, Given]) -> dict[str, tuple[int, ...]]:
    """Those that the job fixes, and those that come with values, which must agree."""
    names = {declared.name for declared in info.inputs}
    shapes = {name: shape for name, shape in asked.shapes.items() if name in names}
    for name, value in said.items():
        if value.shape is not None and shapes.setdefault(name, value.shape) != value.shape:
            raise SpecError(
                f"{info.path}: inputs.{name} is {list(shapes[name])}, and the values of {name} have the shape {list(value.shape)}"
            )
    return shapes
