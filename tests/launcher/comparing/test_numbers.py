"""Numbers are those that metrics.jsonl has, whatever else is in it, and little is read for them."""

import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.comparing import numbers
from launcher.comparing.numbers import DEFAULT, Log, Numbers, Wanted, read
from launcher.comparing.parting import Parting, parting
from locat.contract.errors import UserError
from locat.contract.metric_record import Record
from locat.contract.records import FormatError

NAMES = ("train/loss", "val/top1", "val/é", "throughput/images")
ORDERS: dict[str, Callable[[Iterable[int]], int]] = {"largest": max, "smallest": min}
SAME_FOLDER = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, *steps: dict[str, float], end: bytes = b"") -> Path:
    path.write_bytes(b"".join(Record(i, 0.0, metrics).to_line() for i, metrics in enumerate(steps)) + end)
    return path


def values(path: Path, *wanted: str) -> dict[str, float]:
    return read(path, [Wanted.parse(each) for each in wanted]).values


@SAME_FOLDER
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), st.integers(-9, 9)), max_size=30), st.integers(1, 200))
def test_what_is_read_backwards_is_what_is_there(tmp_path: Path, steps: list[dict[str, int]], block: int) -> None:
    path = write(tmp_path / "metrics.jsonl", *steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbers, "BLOCK", block)
        for name in NAMES:
            recorded = {i: metrics[name] for i, metrics in enumerate(steps) if name in metrics}
            wanted = [name, f"{name}@best", f"{name}@largest", f"{name}@smallest", f"{name}@7"]
            choose = min if "loss" in name else max
            found = {f"{name}@best": choose(recorded.values())} if recorded else {}
            found |= {f"{name}@{word}": of(recorded.values()) for word, of in ORDERS.items() if recorded}
            found |= {name: recorded[max(recorded)]} if recorded else {}
            found |= {f"{name}@7": recorded[7]} if 7 in recorded else {}
            assert values(path, *wanted) == found


def test_a_section_is_what_its_newest_record_has(tmp_path: Path) -> None:
    path = write(tmp_path / "m", {"val/a": 1, "val/b": 1}, {"val/a": 2, "train/loss": 3}, {"train/lr": 4})
    assert read(path, DEFAULT).values == {"val/a": 2, "train/loss": 3}
    with pytest.raises(UserError, match="a whole section"):
        Wanted.parse("val/*@best")
    assert Wanted.parse("recall@5@last") == Wanted("recall@5")


def test_nothing_is_read_of_a_line_that_is_written_and_damaged_ones_are_told(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m", {"val/a": 1}, end=b'{"step": 1, "val/a": 3}\n[["val/a"]]\n{"step": 2, "metrics": {"val/a"'
    )
    assert read(path, DEFAULT) == Numbers({"val/a": 1.0}, is_damaged=True)
    assert read(tmp_path / "none", DEFAULT) == Numbers()


@pytest.mark.parametrize("step", ["1e999", "NaN", '"x"', "[]", "1" * 5000, "[" * 20_000])
def test_no_line_ends_it(tmp_path: Path, step: str) -> None:
    path = write(tmp_path / "m", end=f'{{"step": {step}, "time": 0, "metrics": {{"val/a": 1}}}}\n'.encode())
    assert read(path, DEFAULT) == Numbers(is_damaged=True)


def test_what_is_no_log_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(numbers, "LONGEST_LINE", 10**5)
    (tmp_path / "endless").write_bytes(b"x" * 10**6)
    (tmp_path / "loop").symlink_to("loop")
    for name in ("pipe", "endless", "loop", "."):
        with pytest.raises(FormatError, match="cannot be read") as caught:
            read(tmp_path / name, DEFAULT)
        assert len(str(caught.value).splitlines()) == 1


def test_losses_part_where_the_first_number_differs(tmp_path: Path) -> None:
    begin = ({"train/loss": math.nan}, {"train/loss": 2.0, "val/x": 1.0})
    a = write(tmp_path / "a", *begin, {"train/loss": 0.1, "throughput/x": 5})
    b = write(tmp_path / "b", {**begin[0], "throughput/x": 4}, begin[1], {"train/loss": 0.2})
    assert parting(a, b) == Parting(3, 2, "train/loss", 0.1, 0.2)
    assert parting(a, a) == Parting(4, 2)
    assert parting(a, tmp_path / "none") == Parting(0)
    write(b, {"train/loss": 1.0})
    assert parting(a, b).step == 0


def test_the_last_numbers_of_a_long_log_cost_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "m", *({"train/loss": 1.0, "val/a": i, "x": 0.5} for i in range(5000)))
    parsed: list[bytes] = []
    whole = Record.from_line
    monkeypatch.setattr(Record, "from_line", lambda line: parsed.append(line) or whole(line))
    assert read(path, DEFAULT).values == {"val/a": 4999, "train/loss": 1.0}
    assert len(parsed) == 1
    assert len(list(Log(path).newest_first(["nowhere"]))) == 0 and len(parsed) == 1
    assert json.loads(parsed[0])["step"] == 4999
