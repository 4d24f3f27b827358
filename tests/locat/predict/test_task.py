"""`task: predict`: what a job leaves."""

import json
from pathlib import Path

import numpy as np
import pytest

from locat.config import PredictConfig
from locat.contract.errors import ConfigError, DataError
from locat.contract.job_folder import JobFolder
from locat.engine.tracking.metric_log import read_records
from locat.predict.run import Prediction
from locat.tasks.predict import predict
from support import pictures


def config(model: Path, photos: Path, **keys: object) -> PredictConfig:
    return PredictConfig.model_validate({"task": "predict", "model": str(model), "images": str(photos), **keys})


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    folder = tmp_path / "job"
    folder.mkdir()
    return JobFolder(folder)


def lines(job: JobFolder) -> list[dict]:
    return [json.loads(line) for line in (job.outputs / "predictions.jsonl").read_text().splitlines()]


def test_a_job_names_broken_images_answers_the_others_and_is_done_once(
    models: Path, photos: Path, job: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = config(models / "segmenter", photos, write=["masks", "overlays"], most_bad=0.25)
    predict(asked, job)
    (broken,) = (line for line in lines(job) if "error" in line)
    assert broken == {"image": str(photos / "c.png"), "error": "not an image"}
    counts = json.loads((job.outputs / "counts.json").read_text())
    assert counts == {"format": 1, "images": 4, "bad": [broken], "turned": 0}
    for folder in ("masks", "overlays"):
        written = (str(file.relative_to(job.outputs / folder)) for file in (job.outputs / folder).rglob("*.png"))
        assert sorted(written) == ["a.png", "b.png", "trip/d.png"]
    (record,) = (record for record, _ in read_records(job.metrics, 0))
    assert record.metrics == {"images": 4, "bad": 1, "turned": 0}
    monkeypatch.setattr(Prediction, "records", None)
    predict(asked, job)


def test_too_many_broken_images_fail_the_job_once_the_others_are_answered(
    models: Path, photos: Path, job: JobFolder
) -> None:
    asked = config(models / "classifier", photos, write=["embeddings"])
    with pytest.raises(DataError, match=r"^1 of 4 images \(25.000%\) could not be read, .*c.png: not an image"):
        predict(asked, job)
    assert len(lines(job)) == 4 and len(np.load(job.outputs / "embeddings.npz")["names"]) == 3
    (photos / "c.png").write_bytes(pictures.encoded(pictures.picture(50, 20), "PNG"))
    predict(asked, job)
    assert not any("error" in line for line in lines(job))
    assert json.loads((job.outputs / "counts.json").read_text())["bad"] == []


def test_a_model_that_does_not_give_what_is_to_be_written_leaves_no_lines(
    models: Path, photos: Path, job: JobFolder
) -> None:
    with pytest.raises(ConfigError, match="gives no masks"):
        predict(config(models / "classifier", photos, write=["masks"]), job)
    assert list(job.outputs.glob("**/*")) == []
