"""A user's own search space, from a YAML file of the same shape."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lutfarm_jobs import operators
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.graphs.graph import Graph, Shape
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.spaces.layered import LayeredSpace, Position
from lutfarm_jobs.spec_problems import describe
from lutfarm_jobs.yaml_reader import read_yaml

LIMIT_BYTES = 1_000_000
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"


def _operator(value: object) -> object:
    """A canonical key, or a mapping of its kind and fields."""
    try:
        if isinstance(value, str):
            return operators.parse(value)
        if isinstance(value, Mapping):
            values = {str(name): item for name, item in cast(Mapping[object, object], value).items()}
            return operators.make(str(values.pop("kind", "")), values)
    except SpecError as error:
        raise ValueError(error.detail) from error
    raise ValueError("an operator is a canonical key, or a mapping of kind and fields")


AnOperator = Annotated[Any, BeforeValidator(_operator)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Choice(_Strict):
    name: str = Field(pattern=NAME)
    operator: AnOperator


class _Layer(_Strict):
    name: str = Field(pattern=NAME)
    choices: tuple[_Choice, ...] = Field(min_length=1, max_length=1000)


class _File(_Strict):
    name: str = Field(pattern=NAME)
    head: tuple[AnOperator, ...] = Field(default=(), max_length=1000)
    layers: tuple[_Layer, ...] = Field(min_length=1, max_length=1000)
    tail: tuple[AnOperator, ...] = Field(default=(), max_length=1000)


def read_file(path: Path) -> Mapping[str, Any]:
    """What a space's YAML file says, as JSON can hold it.  Raises SpecError; see `space_of` for what it means."""
    content = read_yaml(path, limit_bytes=LIMIT_BYTES)
    if not isinstance(content, Mapping):
        raise SpecError(f"{path}: a space is a mapping with name, head, layers and tail")
    return {str(name): value for name, value in cast(Mapping[object, Any], content).items()}


def space_of(content: object, *, source: str) -> LayeredSpace:
    """A space from plain data; `source` is named in errors."""
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise SpecError(f"{source}: {describe(error)}") from error
    names = [layer.name for layer in file.layers]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SpecError(f"{source}: two layers are named {twice[0]!r}")
    positions = tuple(
        Position(layer.name, tuple((choice.name, choice.operator) for choice in layer.choices)) for layer in file.layers
    )
    shape = _check_chain(file, source)
    everything = repr((file.head, [(p.name, p.choices) for p in positions], file.tail))
    return LayeredSpace(
        name=f"{file.name}-{hashlib.sha256(everything.encode()).hexdigest()[:8]}",
        input_shape=shape,
        head=file.head,
        positions=positions,
        tail=file.tail,
        by_name=True,
    )


def _check_chain(file: _File, source: str) -> Shape:
    """The network's input shape, if every operator takes what the one before it gives."""
    links: list[tuple[str, list[Operator]]] = [(f"head[{at}]", [op]) for at, op in enumerate(file.head)]
    for at, layer in enumerate(file.layers):
        choice_names = [choice.name for choice in layer.choices]
        if len(set(choice_names)) < len(choice_names):
            raise SpecError(f"{source}: layers[{at}] ({layer.name}): two choices have the same name")
        links.append((f"layers[{at}] ({layer.name})", [choice.operator for choice in layer.choices]))
    links += [(f"tail[{at}]", [op]) for at, op in enumerate(file.tail)]
    shape = first = links[0][1][0].input_shape
    for where, choices in links:
        for operator in choices:
            if operator.input_shape != shape:
                raise SpecError(
                    f"{source}: {where}: {operator.key} takes {_words(operator.input_shape)}, "
                    f"but what comes before it gives {_words(shape)}"
                )
        given = {_output_shape(operator) for operator in choices}
        if len(given) > 1:
            shapes = " and ".join(_words(one) for one in sorted(given))
            raise SpecError(f"{source}: {where}: its choices give {shapes}; they must agree")
        shape = given.pop()
    return first


def _output_shape(operator: Operator) -> Shape:
    graph = Graph("shape", operator.input_shape)
    return operator.append(graph, graph.input).shape


def _words(shape: Shape) -> str:
    return "x".join(map(str, shape))
