"""YAML from people: plain data, or an error that says where."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.yaml_reader import DEEPEST, parse_yaml


def test_plain_data_is_read_as_it_stands() -> None:
    assert parse_yaml("name: x\nitems: [1, 2.5, true, null, text]\n", source="a.yaml") == {
        "name": "x",
        "items": [1, 2.5, True, None, "text"],
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x 1\nb: *x\n", "line 1: anchors"),
        ("a: 1\nb: *x\n", "line 2: aliases"),
        ("a: !!python/object/apply:os.system ['true']\n", "line 1: tags"),
        ("a: !custom 1\n", "line 1: tags"),
        ("a: 1\na: 2\n", "line 2: 'a' stands twice"),
        ("a: 1\n---\nb: 2\n", "line 2: one document"),
        ("a: [1, 2\n", "line 2"),
        ("a:\tb: c\n", "line 1"),
        ("{[1]: 2}", "line 1"),
        ("a: \x07\n", "no YAML"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested deeper"),
        ("a: 2001-13-45\n", "a value can't be read"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_line(text: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_yaml(text, source="a.yaml")
    assert caught.value.detail.startswith("a.yaml: ")
    assert said in caught.value.detail


def test_a_billion_laughs_are_not_told() -> None:
    text = "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(100))
    with pytest.raises(SpecError, match="anchors"):
        parse_yaml(text, source="a.yaml")


def test_deep_nesting_ends_in_an_error_and_not_in_the_stack() -> None:
    with pytest.raises(SpecError, match="nested deeper"):
        parse_yaml("[" * 100_000, source="a.yaml")


@given(st.text(max_size=200))
def test_any_text_is_either_data_or_a_spec_error(text: str) -> None:
    try:
        parse_yaml(text, source="a.yaml")
    except SpecError as error:
        assert error.detail.startswith("a.yaml: ")


_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="ascii", categories=["L", "N"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=10,
)


@given(_data)
def test_what_was_written_is_read_back(value: object) -> None:
    text = yaml.dump(value, Dumper=_NoAliases)
    assert parse_yaml(text, source="a.yaml") == value


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True
