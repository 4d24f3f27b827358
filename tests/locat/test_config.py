from pathlib import Path

import pytest
import yaml

from locat.config import SupervisedConfig, load_job
from locat.contract.errors import ConfigError

JOB = {
    "task": "supervised",
    "model": {"name": "locatvit_tiny"},
    "data": {"train": "train.beton", "val": "val.beton"},
    "epochs": 2,
    "batch_size": 8,
}


def written(folder: Path, values: object) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_strategy_is_a_name_or_a_mapping(tmp_path: Path) -> None:
    for value, stage in (("deepspeed", 1), ({"name": "deepspeed", "zero_stage": 3}, 3)):
        job = load_job(written(tmp_path, {**JOB, "strategy": value}))
        assert isinstance(job, SupervisedConfig)
        assert (job.strategy.name, job.strategy.zero_stage) == ("deepspeed", stage)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "supervized"}, "'supervized' is none of"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"epochs": "8"}, "epochs"),
        ({"epoch": 3}, "epoch: Extra"),
        ({"strategy": "fdsp"}, "strategy.name"),
        ({"label_smoothing": 2}, "label_smoothing"),
        (
            {"tracking": {"uri": "http://me:secret@host:5000", "experiment": "e", "parent": "p"}},
            "MLFLOW_TRACKING_PASSWORD",
        ),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], words: str, tmp_path: Path) -> None:
    path = written(tmp_path, {**JOB, **change})
    with pytest.raises(ConfigError) as caught:
        load_job(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert "me:secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "!!python/object:os.system {}"])
def test_what_is_no_config_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        load_job(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml"):
        load_job(tmp_path / "nothing.yaml")
