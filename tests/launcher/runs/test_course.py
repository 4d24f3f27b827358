"""How a metric has gone is read from as much of metrics.jsonl as a look may read, while it is written."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.runs import course
from launcher.runs.course import Course
from locat.contract.metric_record import Record

SAME_FOLDER = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = ("train/loss", "val/")


def line(step: int, **metrics: float) -> bytes:
    return Record(step, 0.0, {name.replace("_", "/", 1): value for name, value in metrics.items()}).to_line()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each read."""
    sizes: list[int] = []
    real = course.opened

    class Counted:
        def __init__(self, file: BinaryIO) -> None:
            self._file = file
            self.fileno, self.seek = file.fileno, file.seek

        def read(self, size: int) -> bytes:
            sizes.append(len(data := self._file.read(size)))
            return data

    @contextmanager
    def opened(path: Path) -> Iterator[Counted]:
        with real(path) as file:
            yield Counted(file)

    monkeypatch.setattr(course, "opened", opened)
    return sizes


def test_of_a_million_lines_a_megabyte_is_read_and_then_only_what_is_new(tmp_path: Path, read: list[int]) -> None:
    path = tmp_path / "metrics.jsonl"
    last = 1_000_000
    path.write_bytes(b"".join(b'{"step":%d,"time":0,"metrics":{"train/loss":%d}}\n' % (i, -i) for i in range(last)))
    seen = Course(path, NAMES)
    seen.look()
    assert sum(read) <= course.MOST_READ + course.PIECES + 1
    name, points = seen.of("train/loss")
    assert name == "train/loss" and points[0] == (0, 0.0) and points[-1] == (last - 1, 1.0 - last)
    assert all(value == -step for step, value in points) and len(points) <= course.MOST_KEPT + 1
    parts = {step * course.PIECES // last for step, _ in points}
    assert parts == set(range(course.PIECES)), "every part of the file has a point"
    read.clear()
    with path.open("ab") as file:
        file.write(line(last, train_loss=1.0, val_top1=2.0))
    seen.look()
    assert (
        sum(read) < 200 and seen.of("train/loss")[1][-1] == (last, 1.0) and seen.of("val/") == ("val/top1", [(last, 2)])
    )
    read.clear()
    seen.look()
    assert sum(read) <= 1


@SAME_FOLDER
@given(
    st.lists(st.tuples(st.floats(), st.none() | st.floats()), max_size=40),
    st.lists(st.integers(1, 120)),
    st.integers(1, 300),
)
def test_what_is_read_while_it_is_written_is_what_is_there(
    tmp_path: Path, steps: list[tuple[float, float | None]], pieces: list[int], end: int
) -> None:
    path = tmp_path / "metrics.jsonl"
    text = b"".join(
        line(number, train_loss=loss, **({} if value is None else {"val_top1": value}))
        for number, (loss, value) in enumerate(steps)
    )
    path.write_bytes(b"")
    seen, once = Course(path, NAMES), Course(path, NAMES)
    with pytest.MonkeyPatch.context() as patch:
        for size in pieces:
            with path.open("ab") as file:
                file.write(text[:size])
            text = text[size:]
            seen.look()
        with path.open("ab") as file:
            file.write(text)
        seen.look()
        once.look()
        assert (
            str(seen.of("train/loss"))
            == str(once.of("train/loss"))
            == str(("train/loss", [(number, loss) for number, (loss, _) in enumerate(steps)]))
        )
        evaluated = [(number, value) for number, (_, value) in enumerate(steps) if value is not None]
        assert str(seen.of("val/")[1]) == str(evaluated)
        # The same with what counts as long being short: every point that is found is there, and the last one is.
        patch.setattr(course, "END", end + 200)
        patch.setattr(course, "MOST_READ", end + 200)
        patch.setattr(course, "PIECE", end)
        part = Course(path, NAMES)
        part.look()
        found = part.of("train/loss")[1]
        assert {str(point) for point in found} <= {str(point) for point in once.of("train/loss")[1]}
        assert not steps or found[-1][0] == len(steps) - 1


def test_no_line_is_taken_twice_and_what_is_no_record_counts_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    good = line(1, train_loss=1.0)
    path.write_bytes(
        b"\0" * 99
        + b'\n{"metrics": {"train/loss": "x"}}\n["train/loss"]\n'
        + good
        + good
        + line(2, train_loss=math.nan)[:-1]
    )
    seen = Course(path, NAMES)
    seen.look()
    assert seen.of("train/loss")[1] == [(1, 1.0)], "the torn line is left"
    with path.open("ab") as file:
        file.write(b"\n")
    seen.look()
    assert str(seen.of("train/loss")[1]) == "[(1, 1.0), (2, nan)]"


def test_another_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    seen = Course(path, NAMES)
    seen.look()
    assert seen.of("train/loss")[1] == []
    path.write_bytes(line(5, train_loss=1.0) + line(6, train_loss=1.0))
    seen.look()
    path.write_bytes(line(1, train_loss=2.0))  # cut short
    seen.look()
    assert seen.of("train/loss")[1] == [(1, 2.0)]
    (tmp_path / "new").write_bytes(line(0, train_loss=3.0) * 9)
    os.replace(tmp_path / "new", path)
    seen.look()
    assert seen.of("train/loss")[1] == [(0, 3.0)]
    path.unlink()
    os.mkfifo(path)
    seen.look()


def test_a_line_without_an_end_is_gone_through_once(tmp_path: Path, read: list[int]) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(line(1, train_loss=1.0) + b"x" * 3 * course.MOST_READ)
    seen = Course(path, NAMES)
    seen.look()
    read.clear()
    seen.look()
    assert sum(read) <= 1
    with path.open("ab") as file:
        file.write(b"\n" + line(2, train_loss=2.0))
    seen.look()
    assert seen.of("train/loss")[1] == [(1, 1.0), (2, 2.0)]
