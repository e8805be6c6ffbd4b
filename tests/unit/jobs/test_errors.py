"""The error tree and its wire form."""

import pytest

from lutfarm_jobs import errors


def _leaves(kind: type[errors.FarmError]) -> list[type[errors.FarmError]]:
    children = kind.__subclasses__()
    return [kind, *(leaf for child in children for leaf in _leaves(child))]


@pytest.mark.parametrize("kind", _leaves(errors.FarmError), ids=lambda kind: kind.__name__)
def test_every_error_survives_the_wire(kind: type[errors.FarmError]) -> None:
    seen = kind("phone-3: 61 C is above 55 C; let it cool")
    back = errors.from_wire(seen.code, seen.detail)
    assert type(back) is kind
    assert back.detail == seen.detail


@pytest.mark.parametrize("kind", _leaves(errors.FarmError), ids=lambda kind: kind.__name__)
def test_the_docstring_is_the_default_message(kind: type[errors.FarmError]) -> None:
    assert kind().detail == " ".join((kind.__doc__ or "").split())
    assert kind().detail


def test_an_unknown_code_is_a_bug_that_quotes_it() -> None:
    back = errors.from_wire("Gremlin", "ate the cable")
    assert isinstance(back, errors.RunnerBug)
    assert "Gremlin" in back.detail
    assert "ate the cable" in back.detail


def test_a_code_names_its_class_and_those_above_it() -> None:
    assert errors.is_a("RegistrationStale", errors.RegistrationStale)
    assert errors.is_a("RegistrationStale", errors.LinkError, errors.DeviceError)
    assert not errors.is_a("NotReady", errors.RegistrationStale)
    assert not errors.is_a("Gremlin", errors.FarmError)
    assert not errors.is_a("", errors.FarmError)


def test_a_hostile_code_is_cut() -> None:
    assert len(errors.from_wire("x" * 10_000, "y" * 100_000).detail) < 2_200


@pytest.mark.parametrize(
    ("kind", "retry"),
    [
        (errors.SpecError, errors.Retry.NEVER),
        (errors.LinkLost, errors.Retry.SAME_DEVICE),
        (errors.DeviceLost, errors.Retry.OTHER_DEVICE),
        (errors.OutOfMemory, errors.Retry.NEVER),
        (errors.LeaseLost, errors.Retry.NEVER),
    ],
)
def test_the_retry_policy_is_inherited_from_the_branch(kind: type[errors.FarmError], retry: errors.Retry) -> None:
    assert kind.retry is retry
