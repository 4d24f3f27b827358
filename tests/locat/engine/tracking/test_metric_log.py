import json
import math
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locat.contract.metric_record import Record
from locat.engine.tracking.metric_log import NOTHING, MetricLog, read_records


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def points(path: Path, offset: int = 0) -> list[tuple[int, float]]:
    """Steps and losses."""
    return [(record.step, record.metrics["loss"]) for record, _ in read_records(path, offset) if record.metrics]


def test_records_come_back_in_order_and_from_any_offset(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricLog(path)
    for step in (10, 20, 30):
        log.append(step, {"train/loss": 1 / step})
    records = list(read_records(path, 0))
    assert [record.step for record, _ in records] == [10, 20, 30]
    assert [record.step for record, _ in read_records(path, records[0][1])] == [20, 30]


def test_steps_logged_before_a_restart_are_not_logged_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = MetricLog(path)
    first.append(10, {"train/loss": 1.0})
    first.append(20, {"train/loss": 0.5})
    resumed = MetricLog(path)
    resumed.append(20, {"train/loss": 0.5, "val/top1": 3.0})
    resumed.append(30, {"train/loss": 0.25})
    assert [(line["step"], line["metrics"]) for line in lines(path)] == [
        (10, {"train/loss": 1.0}),
        (20, {"train/loss": 0.5}),
        (20, {"val/top1": 3.0}),
        (30, {"train/loss": 0.25}),
    ]


def test_a_line_torn_by_a_kill_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricLog(path).append(10, {"loss": 1.0})
    with path.open("a") as file:
        file.write('{"step": 20, "ti')
    MetricLog(path).append(20, {"loss": 0.5})
    assert [line["step"] for line in lines(path)] == [10, 20]


def test_what_is_no_number_is_written_as_valid_json_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricLog(path).append(1, {"nan": math.nan, "up": math.inf, "down": -math.inf})
    assert lines(path)[0]["metrics"] == {"nan": "nan", "up": "inf", "down": "-inf"}
    ((record, _),) = read_records(path, 0)
    assert math.isnan(record.metrics["nan"])
    assert (record.metrics["up"], record.metrics["down"]) == (math.inf, -math.inf)


@pytest.mark.parametrize("damage", [b"\0" * 40, b'{"step": 2, "time": 1.0}', b"[]", b'{"step"\xff: 2', b"NaN"])
def test_a_damaged_line_is_named_and_costs_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricLog(path)
    for step in (1, 2, 3):
        log.append(step, {"loss": float(step)})
    first, _, third = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, damage, third, b""]))
    assert points(path) == [(1, 1.0), (3, 3.0)]
    assert [line for line in caplog.messages if "damaged" in line] == [
        f"{path}: the line at byte {len(first) + 1} is damaged; its metrics are lost"
    ]
    resumed = MetricLog(path)
    for step in (2, 3, 4):
        resumed.append(step, {"loss": float(step)})
    assert points(path) == [(1, 1.0), (3, 3.0), (4, 4.0)]
    assert next(record for record, _ in read_records(path, len(first) + 1)) == NOTHING


@pytest.mark.parametrize("cursor", [10_000, 7])
def test_a_cursor_into_a_file_that_is_no_more_begins_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cursor: int
) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricLog(path).append(1, {"loss": 1.0})
    assert points(path, cursor) == [(1, 1.0)]
    assert f"no line begins at byte {cursor}" in caplog.text


@given(cut=st.integers(0, 600), checkpoint=st.integers(0, 8))
@settings(max_examples=30)
def test_a_file_cut_anywhere_has_every_step_once_after_a_restart(cut: int, checkpoint: int) -> None:
    written = b"".join(Record(step, 1.5, {"loss": float(step)}).to_line() for step in range(8))[:cut]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.jsonl"
        path.write_bytes(written)
        resumed = MetricLog(path)
        for step in range(min(checkpoint, written.count(b"\n")), 10):
            resumed.append(step, {"loss": float(step)})
        assert points(path) == [(step, float(step)) for step in range(10)]


TRAINING = """
import os, signal, sys
from pathlib import Path
from locat.contract import durable
from locat.engine.tracking.metric_log import MetricLog
folder, end, how = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
log, checkpoint = MetricLog(folder / "metrics.jsonl"), folder / "checkpoint"
for step in range(int(checkpoint.read_text()) if checkpoint.exists() else 0, 12):
    if (step, how) == (end, "torn"):
        log.path.open("a").write('{"step": 7, "time": 17')
        os.kill(os.getpid(), signal.SIGKILL)
    log.append(step, {"loss": float(step)})
    if (step, how) == (end, "logged"):
        os.kill(os.getpid(), signal.SIGKILL)
    if step % 4 == 3:
        durable.write_text(checkpoint, str(step + 1))
    if (step, how) == (end, "saved"):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kills_between_log_and_checkpoint_leave_every_step_once_in_the_file_and_sent(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    sent: list[int] = []
    cursor = 0
    for step, how in [(2, "logged"), (3, "torn"), (3, "logged"), (7, "saved"), (10, "logged"), (99, "never")]:
        command = [sys.executable, "-c", TRAINING, str(tmp_path), str(step), how]
        killed = subprocess.run(command, check=False).returncode
        assert killed == (0 if how == "never" else -9)
        for record, end in read_records(path, cursor):
            sent.append(record.step)
            cursor = end
    assert [step for step, _ in points(path)] == sent == list(range(12))
