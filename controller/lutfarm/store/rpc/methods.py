"""What of the Store protocols travels, read off the protocols themselves: arguments and results as JSON."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from lutfarm.store.interface import Store
from lutfarm.store.sql.encoding import dump_device, load_device
from lutfarm_agents.device import Device
from lutfarm_jobs.errors import StoreError

FARM_ID = "farm_id"
READS = frozenset(
    {
        *(FARM_ID, "device", "devices", "hello", "device_record", "device_history", "heat_waits", "checks", "lease_holder"),
        *("jobs", "job", "measurements", "queue", "reusable", "probes", "artifacts", "runs", "arrived_runs", "runs_after"),
        *("last_runs", "round_counts", "canary_rounds", "canaries_shown"),
    }
)
"""Methods that change nothing, and tell nothing that lets somebody in."""
OF_DEVICES = frozenset({"put_device", "put_hello", "step_device", "put_check", "remove_device", "acquire", "renew", "release"})
"""Methods by which a host registers and checks the devices that hang on it."""

# A device's address is written and read by its transport, as in the database.
_DEVICE = Annotated[Device, PlainSerializer(dump_device, return_type=str), PlainValidator(load_device)]


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the store; a stream's result is of each item of it."""

    name: str
    signature: inspect.Signature
    arguments: TypeAdapter[tuple[Any, ...]]
    result: TypeAdapter[Any]
    streams: bool
    lists: frozenset[str] = frozenset()  # arguments of which any collection will do

    def ask(self, *args: Any, **named: Any) -> bytes:
        """The arguments of a call as JSON."""
        bound = self.signature.bind(*args, **named)
        bound.apply_defaults()
        values = bound.arguments.items()
        return self.arguments.dump_json(tuple(_plain(value, listed=name in self.lists) for name, value in values))

    def asked(self, content: bytes) -> dict[str, Any]:
        """The arguments of a call by name, from what `ask` gave.  Raises StoreError."""
        try:
            values = self.arguments.validate_json(content)
        except ValidationError as error:
            raise StoreError(f"{self.name}: what it was asked with is not understood: {_seen(error)}") from error
        return dict(zip(self.signature.parameters, values, strict=True))

    def answered(self, content: bytes) -> Any:
        """A result, or one item of a stream, from its JSON.  Raises StoreError."""
        try:
            return self.result.validate_json(content)
        except ValidationError as error:
            raise StoreError(f"{self.name}: the answer is not understood: {_seen(error)}") from error

    def answer(self, value: object) -> bytes:
        """A result, or one item of a stream, as JSON."""
        return self.result.dump_json(_plain(value))


@cache
def methods() -> Mapping[str, Method]:
    """By name."""
    found = {name: member for name, member in inspect.getmembers(Store, inspect.isfunction) if not name.startswith("_")}
    del found["close"]
    read = {name: _method(name, member) for name, member in found.items()}
    read[FARM_ID] = Method(FARM_ID, inspect.Signature(), TypeAdapter(tuple[()]), TypeAdapter(str), streams=False)
    return read


def _method(name: str, member: Any) -> Method:
    known = {**vars(sys.modules[member.__module__]), "Device": _DEVICE, "Collection": list}
    hints = get_type_hints(member, globalns=known, include_extras=True)
    signature = inspect.signature(member)
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    kinds = tuple(hints[parameter.name] for parameter in parameters)
    result = hints["return"]
    streams = get_origin(result) is Iterator
    each = get_args(result)[0] if streams else result
    form: Any = tuple
    arguments: TypeAdapter[tuple[Any, ...]] = TypeAdapter(form[kinds])
    lists = frozenset(parameter.name for parameter in parameters if _is_list(hints[parameter.name]))
    return Method(name, signature.replace(parameters=parameters), arguments, TypeAdapter(each), streams, lists)


def _is_list(hint: Any) -> bool:
    """Whether a collection is asked for, or one or None."""
    return get_origin(hint) is list or any(get_origin(one) is list for one in get_args(hint))


def _plain(value: object, *, listed: bool = False) -> object:
    """Sets, views of mappings and the like as lists and dicts; `listed`: tuples too."""
    if isinstance(value, Mapping):
        return dict(cast(Mapping[object, object], value))
    if isinstance(value, str | bytes) or (isinstance(value, tuple) and not listed):
        return cast(object, value)
    return list(cast(Collection[object], value)) if isinstance(value, Collection) else value


def _seen(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])[:200]}: {first['msg'][:200]}"
