"""A sparkline has the width that was asked for, whatever the numbers are."""

import io
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.live import Live

from launcher.runs.course import Point
from launcher.view.sparkline import ASCII, BAD, BLOCKS, sparkline, takes_ascii_only

STEPS = st.sets(st.integers(-(10**20), 10**20), max_size=60).map(sorted)


@given(STEPS, st.data(), st.integers(1, 30), st.booleans())
def test_width_alphabet_and_what_is_drawn_how_high(
    steps: list[int], data: st.DataObject, width: int, plain: bool
) -> None:
    points = [(step, data.draw(st.floats())) for step in steps]
    drawn = sparkline(points, width, plain)
    levels = ASCII if plain else BLOCKS
    assert len(drawn) == min(width, len(points)) and set(drawn) <= {*levels, BAD}
    if len(points) <= width:
        heights = sorted(
            (value, levels.index(sign)) for (_, value), sign in zip(points, drawn, strict=True) if sign != BAD
        )
        assert [math.isfinite(value) for _, value in points] == [sign != BAD for sign in drawn]
        assert [height for _, height in heights] == sorted(height for _, height in heights)
        if len({value for value, _ in heights}) > 1 and heights[0][0] / 2 != heights[-1][0] / 2:
            assert heights[0][1] == 0 and heights[-1][1] == len(levels) - 1


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([3.0, 3.0, 3.0], "▅▅▅"),
        ([math.nan, math.inf], "xx"),
        ([0.0, math.nan, 7.0, -math.inf], "▁x█x"),
        ([-sys.float_info.max, sys.float_info.max], "▁█"),
        ([0.0, 5e-324], "▅▅"),
        ([sys.float_info.max] * 9, "▅▅▅▅"),
        ([0.0, math.nan, 1.0, math.inf, 2.0, 2.0, math.nan, math.nan], "▁▅█x"),
    ],
)
def test_what_numbers_look_like_on_four_characters(values: list[float], drawn: str) -> None:
    assert sparkline(list(enumerate(values)), 4, ascii_only=False) == drawn


def test_steps_and_not_points_are_what_goes_to_the_right() -> None:
    points: list[Point] = [(step, 0.0) for step in range(11)] + [(100, 1.0)]
    assert sparkline(points, 10, ascii_only=True) == "_________#"


def test_who_takes_ascii_alone_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, plain in (("utf-8", False), ("ascii", True), ("latin-1", True), ("utf-16", False)):
        assert takes_ascii_only(io.TextIOWrapper(io.BytesIO(), encoding)) is plain
    assert not takes_ascii_only(io.StringIO())
    monkeypatch.setenv("LC_ALL", "C")
    assert takes_ascii_only(io.StringIO())


def test_rich_stands_between_but_takes_what_the_terminal_takes() -> None:
    out = Console(force_terminal=True)
    with Live(console=out, auto_refresh=False):
        assert not takes_ascii_only(out.file)
