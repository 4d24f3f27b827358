"""An attempt of which a newer one has begun: nothing that it writes is read."""

import threading
from pathlib import Path

import matplotlib.figure
import pytest
import torch
from torch import nn

from locat import __main__ as job_program
from locat.config import CompareConfig, Model, SupervisedConfig, Tracking
from locat.config.training import Checkpoints as Settings
from locat.config.weights import Init
from locat.contract.errors import Superseded
from locat.contract.fence import Fence
from locat.contract.job_folder import ATTEMPT_VARIABLE, ExitCode, JobFolder
from locat.data import beton
from locat.data.datasets.digits import DigitScenes
from locat.data.position import Position
from locat.engine.checkpoints import checkpoints as module
from locat.engine.checkpoints.checkpoints import Checkpoints
from locat.engine.checkpoints.manifest import find_fault
from locat.engine.distributed import Ranks
from locat.engine.progress import Progress
from locat.engine.stopping import Stopping
from locat.engine.tracking import sender
from locat.engine.tracking.metric_log import MetricLog, read_records
from locat.engine.tracking.state_files import Lifetime
from locat.models.create import save_model
from locat.tasks.convert import watched
from locat.tasks.figures import save
from locat.tasks.results import write_results
from locat.weights.initial import initialise
from support import training
from support.small_strategy import small


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobFolder:
    """A job of which this process is attempt 1, the newest."""
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(tmp_path / "attempts" / "1"))
    begin(JobFolder(tmp_path), 1)
    return JobFolder(tmp_path)


def begin(job: JobFolder, number: int) -> None:
    job.attempt(number).mkdir(parents=True)
    Fence(job.attempt(number)).claim()


def checkpoints(job: JobFolder, ranks: Ranks, **settings: object) -> Checkpoints:
    return Checkpoints(job.checkpoints, Settings(**settings), ranks, {})


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_it_saves_no_checkpoint_and_deletes_none(job: JobFolder, ranks: Ranks, caplog) -> None:
    with checkpoints(job, ranks, keep=1) as kept:
        kept.save(small(ranks), Position(1), {})
        kept.wait()
        begin(job, 2)
        before = files(job.checkpoints)
        kept.save(small(ranks), Position(2), {})
        assert not kept.wait()
        kept.judge(Position(1), {"top1": 1.0})
    assert files(job.checkpoints) == before
    assert "attempt 2 of this job has begun, so attempt 1 ends" in caplog.text
    with pytest.raises(Superseded):
        checkpoints(job, ranks).restore(small(ranks))


def test_what_it_was_writing_when_the_other_began_is_not_taken_for_a_checkpoint(
    job: JobFolder, ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held where the files are complete; the newer attempt sweeps them away, then writes its own."""
    written, goes_on = threading.Event(), threading.Event()
    seal = module.seal

    def held(*arguments, **what):
        written.set()
        assert goes_on.wait(20)
        seal(*arguments, **what)

    monkeypatch.setattr(module, "seal", held)
    older = checkpoints(job, ranks)
    older.save(small(ranks), Position(5), {})
    assert written.wait(20)
    monkeypatch.setattr(module, "seal", seal)
    begin(job, 2)
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(job.attempt(2)))
    newer = checkpoints(job, ranks)
    assert newer.restore(small(ranks)).position == Position()
    newer.save(small(ranks), Position(5), {})
    assert newer.wait()
    before = files(job.checkpoints)
    goes_on.set()
    assert not older.wait()
    assert files(job.checkpoints) == before and set(path.name for path in job.checkpoints.iterdir()) == {"step-0000005"}


@pytest.mark.parametrize("lost", ["task.pt", "random-0.pt", "strategy"])
def test_a_checkpoint_that_lost_a_file_before_it_was_sealed_is_none(
    lost: str, job: JobFolder, ranks: Ranks, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    seal = module.seal

    def robbed(temporary: Path, *arguments, **what):
        (temporary / lost).rename(job.path / "lost")
        seal(temporary, *arguments, **what)

    monkeypatch.setattr(module, "seal", robbed)
    with checkpoints(job, ranks) as kept:
        kept.save(small(ranks), Position(1), {})
        assert not kept.wait()
    assert f"{lost} is missing" in caplog.text and not list(job.checkpoints.iterdir())


def test_a_checkpoint_whose_manifest_lacks_a_rank_is_damaged(job: JobFolder, ranks: Ranks) -> None:
    with checkpoints(job, ranks) as kept:
        kept.save(small(ranks), Position(1), {})
    manifest = job.checkpoints / "step-0000001" / "manifest.json"
    assert find_fault(manifest.parent) is None
    manifest.write_text(manifest.read_text().replace('"world_size": 1', '"world_size": 2'))
    assert find_fault(manifest.parent) == "random-1.pt is missing"


def test_its_metrics_do_not_reach_the_log(job: JobFolder) -> None:
    older = MetricLog(job.metrics)
    older.append(1, {"loss": 1.0})
    begin(job, 2)
    older.append(2, {"loss": 0.5})
    assert [record.step for record, _ in read_records(job.metrics, 0)] == [1]


def test_its_metrics_do_not_reach_the_log_though_it_looked_before(job: JobFolder) -> None:
    older = MetricLog(job.metrics)
    older.append(1, {"loss": 1.0})
    MetricLog(job.metrics).append(2, {"loss": 0.25})
    older.append(2, {"loss": 0.5})  # its fence was open still when it looked
    assert [record.metrics["loss"] for record, _ in read_records(job.metrics, 0)] == [1.0, 0.25]


def test_it_shows_no_progress(job: JobFolder) -> None:
    with Progress(job, "train", 2, "step"):
        job.progress.unlink()
        begin(job, 2)
    assert not job.progress.exists()


def test_it_does_not_say_how_the_job_ended(job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender.Tracker, "_send_until_end", lambda self: None)
    tracking = Tracking(uri="http://localhost:1", experiment="test", parent=job.path)
    tracker = sender.Tracker(job, CompareConfig(task="compare", results=["none"]), tracking)
    begin(job, 2)
    tracker.finish("FAILED")
    lifetime = Lifetime.read(job)
    assert lifetime is not None and lifetime.status == "RUNNING"


def test_it_leaves_no_outputs(job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(job, 2)
    job.outputs.mkdir()
    config = SupervisedConfig(**training.supervised({"train": "none", "val": "none"}))
    monkeypatch.setattr("locat.tasks.results._digest", lambda data: "")
    with pytest.raises(Superseded):
        write_results(job, config, "model", DigitScenes("train", 1, image_size=32).contents, {"top1": 1.0})
    with pytest.raises(Superseded):
        save_model(nn.Linear(1, 1), job.outputs)
    with pytest.raises(Superseded):
        save(matplotlib.figure.Figure(), job.figures / "batch.png")
    assert files(job.outputs) == {}


def test_it_converts_no_further(job: JobFolder) -> None:
    begin(job, 2)
    scenes = DigitScenes("train", 16, image_size=32)
    progress = Progress(job, "convert", 16, "image")
    with pytest.raises(Superseded):
        beton.write(job.outputs / "train.beton", scenes, 1, watched(progress))
    with pytest.raises(Superseded):
        beton.write(job.outputs / "train.beton", scenes, 1, lambda done: None)
    assert not list(job.outputs.glob("*.beton*")) and not list(job.outputs.glob(".*/*.npz"))


def test_it_says_no_more_of_what_it_has_converted(job: JobFolder) -> None:
    path = job.outputs / "train.beton"
    manifest = beton.write(path, DigitScenes("train", 16, image_size=32), 1, lambda done: None)
    before = files(job.outputs)
    begin(job, 2)
    with pytest.raises(Superseded):
        beton.write_manifest(path, manifest)
    assert files(job.outputs) == before


def test_it_records_no_weights_that_it_begins_with(job: JobFolder, ranks: Ranks) -> None:
    begin(job, 2)
    model = nn.Linear(1, 1)
    torch.save(model.state_dict(), job.path / "weights.pth")
    with pytest.raises(Superseded):
        initialise(model, Model(name="m", init=Init(source=str(job.path / "weights.pth"))), job, ranks)
    assert not job.outputs.exists()


def test_what_it_was_putting_together_when_the_other_began_is_dropped(job: JobFolder, monkeypatch) -> None:
    write_samples = beton.write_samples
    monkeypatch.setattr(beton, "write_samples", lambda *arguments: (write_samples(*arguments), begin(job, 2)))
    with pytest.raises(Superseded):
        beton.write(job.outputs / "train.beton", DigitScenes("train", 16, image_size=32), 1, lambda done: None)
    assert [path.name for path in job.outputs.iterdir()] == [".train.beton.parts"]


def test_the_program_ends_at_once_and_says_why(job: JobFolder, capfd: pytest.CaptureFixture[str]) -> None:
    begin(job, 2)
    training.write_config(job.path, {"task": "convert", "dataset": {"name": "digits"}})
    reason = "attempt 2 of this job has begun, so attempt 1 ends"
    assert job_program.run(job.config) == (ExitCode.PREEMPTED, reason)
    assert capfd.readouterr().err == reason + "\n" and not job.outputs.exists()


def test_the_ranks_end_between_two_steps(job: JobFolder, ranks: Ranks) -> None:
    stopping = Stopping(ranks)
    begin(job, 2)
    with pytest.raises(Superseded, match="attempt 2"):
        stopping.is_asked()
    with pytest.raises(Superseded, match="attempt 2"):
        stopping.halt_if_superseded()
