"""YAML text to values with places; what has no meaning here is refused."""

import contextlib
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from locat.contract import yaml_source
from locat.contract.problems import PipelineError, Place
from locat.contract.yaml_source import parse, read


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers of PyYAML."""
    monkeypatch.setattr(yaml_source, "Loader", getattr(yaml, request.param))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("12", 12),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("''", ""),
        ("'1'", "1"),
        ("|\n  1\n", "1\n"),
    ],
)
@pytest.mark.usefixtures("loader")
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    parsed = parse(f"key: {text}", "x.yaml").values["key"]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.usefixtures("loader")
def test_places_are_those_of_keys_and_items() -> None:
    source = parse("a:\n  é: [1, {b: 2}]\nc: 3\n", "x.yaml")
    assert source.values == {"a": {"é": [1, {"b": 2}]}, "c": 3}
    assert {path: (place.line, place.column) for path, place in source.places.items()} == {
        (): (1, 1),
        ("a",): (1, 1),
        ("a", "é"): (2, 3),
        ("a", "é", 0): (2, 7),
        ("a", "é", 1): (2, 10),
        ("a", "é", 1, "b"): (2, 11),
        ("c",): (3, 1),
    }


@pytest.mark.usefixtures("loader")
def test_a_whole_number_is_a_key_as_text() -> None:
    source = parse("a: {0: x, 07: y}", "x.yaml")
    assert source.values == {"a": {"0": "x", "7": "y"}} and source.places["a", "7"] == Place("x.yaml", 1, 11)


@pytest.mark.usefixtures("loader")
def test_an_alias_is_a_copy_placed_where_it_was_written() -> None:
    source = parse("a: &x {k: [1]}\nb: *x\n", "x.yaml")
    assert source.values["a"] == source.values["b"]
    assert source.values["a"]["k"] is not source.values["b"]["k"]
    assert source.places["b", "k"] == Place("x.yaml", 1, 8)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2",
        "a:\n\tb: 1",
        "a: &x [*x]",
        "a: *x",
        "a: !!python/object:os.system {}",
        "a: !!str 1",
        "a: 1\n---\nb: 1",
        "",
        "# nothing",
        "1.5: a",
        "? [a]\n: b",
        "a: .nan",
        "a: 1e999",
        f"a: {'9' * 5000}",
        f"a: 0x{'f' * 5000}",
        'a: "\\0"',
        'a: "\\ud800"',
        'a: "\\U00110000"',
        "a: \x07",
        "a: \ud800",
        "<<: {a: 1}",
        "a: {",
        "%YAML 9.9\n---\na: 1",
        "%TAG",
        "[" * 100_000,
        "a: " + "{a: " * 5000,
        "- " * 5000 + "a",
    ],
)
@pytest.mark.usefixtures("loader")
def test_refused(text: str) -> None:
    with pytest.raises(PipelineError, match=r"^x\.yaml"):
        parse(text, "x.yaml")


@pytest.mark.usefixtures("loader")
def test_aliases_cannot_multiply_without_bound() -> None:
    wide = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    wide += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    deep = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000))
    for text in (wide, deep):
        with pytest.raises(PipelineError, match="use fewer aliases"):
            parse(text, "x.yaml")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text("name: x")
    with pytest.raises(PipelineError, match=r"no such file; did you mean '.*digits\.yaml'"):
        read(tmp_path / "digit.yaml")
    with pytest.raises(PipelineError, match="Is a directory"):
        read(tmp_path)
    (tmp_path / "large.yaml").write_text("# " + "x" * (1 << 20))
    with pytest.raises(PipelineError, match="larger than 1 MiB"):
        read(tmp_path / "large.yaml")
    if os.geteuid() != 0:
        (tmp_path / "digits.yaml").chmod(0)
        with pytest.raises(PipelineError, match="Permission denied"):
            read(tmp_path / "digits.yaml")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfname: x\r\n")
    assert read(tmp_path / "x.yaml").values == {"name": "x"}


YAML_PIECES = st.sampled_from(
    [
        *(
            "a",
            "b: ",
            "- ",
            "\n",
            "  ",
            "\t",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "&x ",
            "*x",
            "!t ",
            "!!str ",
            "'",
            '"',
            "\\",
            "|\n",
        ),
        *("? ", "# ", "---\n", "...\n", "%YAML 1.1\n", "<<: ", "1e9", "0x", "\x00", "\ud800", "é", "\u2028", "~", "> "),
    ]
)


@pytest.mark.parametrize("parser", ["CSafeLoader", "SafeLoader"])
@settings(deadline=None)  # machines are shared
@given(text=st.text() | st.lists(YAML_PIECES).map("".join))
def test_any_text_loads_or_is_refused(parser: str, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_source, "Loader", getattr(yaml, parser))
        try:
            source = parse(text, "x.yaml")
        except PipelineError:
            return
    assert () in source.places


@settings(deadline=None)
@given(data=st.binary())
def test_any_file_loads_or_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(data)
    with contextlib.suppress(PipelineError):
        assert isinstance(read(path).values, dict)
