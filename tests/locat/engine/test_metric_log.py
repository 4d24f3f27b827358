import json
from pathlib import Path

from locat.engine.metric_log import MetricLog, read_records


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


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
