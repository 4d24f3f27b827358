"""`python -m locat export` as a user types it, and the task: what is left was compared, and of the rest nothing is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner, Result

import locat
from locat.commands import commands
from locat.config.export import Export, ExportConfig
from locat.contract.errors import ConfigError, JobError
from locat.contract.job_folder import JobFolder
from locat.engine.tracking.metric_log import read_records
from locat.export import check, formats, run
from locat.export.describe import computes
from locat.models.create import save_model
from locat.tasks.export import export as export_job
from support import documents, pictures, trained_models

ROOT = Path(__file__).parents[3]
SWIN = {"img_size": 56, "embed_dim": 24, "depths": (1, 1), "num_heads": (2, 4), "num_classes": 3}


@pytest.fixture(scope="module")
def swin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a LocAtSwin."""
    folder = tmp_path_factory.mktemp("swin")
    save_model(timm.create_model("locatswin_tiny", **SWIN), folder, **SWIN)
    return folder


@pytest.fixture(scope="module")
def exported(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A classifier in both formats and of any size: the folder, and what the command printed."""
    folder = tmp_path_factory.mktemp("exported") / "new" / "model"
    return folder, command("--model", models / "classifier", "--out", folder, "--dynamic-size")


def command(*words: object) -> Result:
    return CliRunner().invoke(commands, ["export", *map(str, words)])


def test_the_command_says_what_it_wrote_and_the_record_how_to_use_it(exported: tuple[Path, Result]) -> None:
    folder, result = exported
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{folder}/model.pt2: ") and lines[1].startswith(f"{folder}/model.onnx: ")
    assert lines[3] == "each program computes what predict computes from the cropped image, without the softmax"
    assert lines[2] == f"{folder}/export.json" and "differs from the model by " in lines[1]
    assert sorted(path.name for path in folder.parent.rglob("*")) == ["export.json", "model", "model.onnx", "model.pt2"]
    record = json.loads((folder / "export.json").read_text())
    expected = {"name": "images", "dtype": "float32", "shape": ["batch", 3, "height", "width"], "multiples_of": 8}
    assert record["input"] == expected
    assert record["preprocessing"] == {
        "resize": {"shorter_side": 40, "interpolation": "bicubic"},
        "crop": {"size": [32, 32], "mode": "center"},
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }
    assert [each["name"] for each in record["outputs"]] == ["logits", "embeddings"]
    assert record["classes"] == list(trained_models.LABELS)
    for name, file in record["files"].items():
        assert file["bytes"] == (folder / name).stat().st_size
        shapes = {tuple(each["images"]) for each in file["compared"]}
        assert shapes == {(2, 3, 32, 32), (3, 3, 40, 32), (1, 3, 32, 40)}
        assert all(0 <= each["difference"] < 1e-5 < each["largest"] for each in file["compared"])


def test_an_onnx_file_names_its_sizes_and_no_file_of_this_machine(exported: tuple[Path, Result]) -> None:
    import onnxruntime

    file = exported[0] / "model.onnx"
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert [output.name for output in session.get_outputs()] == ["logits", "embeddings"]
    assert str(ROOT).encode() not in file.read_bytes()


def test_the_snippet_of_the_page_gives_what_predict_gives(
    exported: tuple[Path, Result], models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = documents.blocks((ROOT / "docs" / "export.md").read_text())
    snippets = [text for language, text in blocks if language == "python"]
    shutil.copytree(exported[0], tmp_path / "exported")
    pictures.picture(101, 60).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    values: dict[str, Any] = {}
    exec(snippets[0], values)
    expected = locat.Model.from_folder(models / "classifier").classify(["photo.png"])
    np.testing.assert_allclose(values["probabilities"], expected[0].numpy(), atol=1e-5)
    with torch.no_grad():
        exec(snippets[1], values)
    np.testing.assert_allclose(values["logits"].softmax(1), expected, atol=1e-5)


def test_a_program_that_answers_otherwise_is_told_and_nothing_is_left(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced: Callable[..., Any] = formats.traced

    def of_other_weights(program: Any) -> Any:
        with torch.no_grad():
            program.module.model.head.bias[0] += 0.01
        return traced(program)

    monkeypatch.setattr(formats, "traced", of_other_weights)
    result = command("--model", models / "classifier", "--out", tmp_path / "out", "--format=pt2")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "model.pt2: its logits differ from the model's by 0.01 for images of shape [2, 3, 32, 32]" in result.stderr
    assert len(result.stderr.splitlines()) == 1 and list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_run_is_told_and_nothing_is_left(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "traced", lambda program: None)
    monkeypatch.setattr(formats, "write", lambda exported, program, file: file.write_bytes(b"half"))
    result = command("--model", models / "classifier", "--out", tmp_path / "out", "--format=onnx")
    assert result.exit_code == 1 and "model.onnx: cannot be run: " in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_a_program_leaves_out_of_the_evaluation_is_told(models: Path) -> None:
    assert computes(locat.Model.from_folder(models / "segmenter")) == "one forward pass on the whole image"
    assert computes(locat.Model.from_folder(models / "windows")) == (
        "one forward pass on the whole image; predict takes the mean logits of windows of 24 x 24 pixels, 16 apart, "
        "and the mean probabilities of the image and its mirror image, so its masks differ"
    )


@pytest.mark.parametrize("found", [torch.zeros(2), torch.full((3,), torch.nan), torch.tensor([0.0, 0, 1])])
def test_another_shape_nan_and_other_numbers_are_differences(found: torch.Tensor) -> None:
    images = [1, 3, 8, 8]
    assert check.Difference(images, "logits", check.difference(found, torch.zeros(3)), 5.0).exceeds(0.1)
    assert not check.Difference(images, "logits", 0.4, 5.0).exceeds(0.1)


def test_weights_that_are_no_numbers_and_a_full_disk_leave_nothing(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formats, "traced", lambda program: None)
    monkeypatch.setattr(formats, "write", full)
    model = locat.Model.from_folder(models / "classifier")
    with pytest.raises(JobError, match=r"out: cannot be written \(No space left on device\)"):
        run.export(model, tmp_path / "out", Export(format="pt2"))
    model.model.head.bias.fill_(torch.nan)  # type: ignore[attr-defined]
    with pytest.raises(JobError, match="not finite; its weights are damaged"):
        run.export(model, tmp_path / "out", Export(format="pt2"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model={swin}", "--dynamic-size"), "LocAtSwin is exported for one size"),
        (("--model={models}/classifier", "--dynamic-size", "--size", "32", "36"), "are multiples of 8"),
        (("--model={models}/classifier", "--size", "32", "36"), "size 32 x 36: the model does not take it"),
        (("--model={models}/classifier", "--size", "0", "32"), "0 is not in the range"),
        (("--model={models}/classifier", "--out={models}"), "is there already; name a folder that is not"),
        (("--model={models}/classifier", "--out={models}/classifier/config.json/x"), "cannot be written"),
        (("--model={models}/classifier", "--format=tflite"), "'tflite' is not one of"),
        (("--model={models}/classifier", "--tolerance=0"), "0.0 is not in the range"),
        (("--model={models}/nowhere",), "no such folder"),
        ((), "Missing option '--model'"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_nothing_is_written(
    words: tuple[str, ...], sentence: str, models: Path, swin: Path, tmp_path: Path
) -> None:
    result = command(f"--out={tmp_path / 'out'}", *(word.format(models=models, swin=swin) for word in words))
    assert result.exit_code == 2
    assert sentence in result.stderr and "Traceback" not in result.output
    assert result.stdout == "" and list(tmp_path.iterdir()) == []
    assert not list(models.glob(".*"))


def test_without_onnx_the_command_to_install_it_is_told(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(ConfigError, match=r"run: python -m pip install onnxruntime$"):
        run.export(locat.Model.from_folder(models / "classifier"), tmp_path / "out", Export())
    formats.refuse_without_packages("pt2")


def test_what_an_exporter_raises_is_one_sentence() -> None:
    with pytest.raises(ConfigError) as refusal, formats.told("ONNX"):
        try:
            raise ValueError("no \x1b[96msuch operator\nand more")
        except ValueError as error:
            raise RuntimeError("step 3") from error
    assert str(refusal.value) == r"ONNX cannot express this model: no \x1b[96msuch operator"


def test_a_job_leaves_the_model_and_its_metrics_and_is_done_once(swin: Path, tmp_path: Path) -> None:
    job = JobFolder(tmp_path)
    config = ExportConfig(task="export", model=swin, format="pt2")
    for _ in range(2):
        export_job(config, job)
        files = sorted(path.name for path in (job.outputs / "model").iterdir())
        assert files == ["export.json", "model.pt2"]
    (record,) = (record for record, _ in read_records(job.metrics, 0))
    assert record.metrics["model.pt2/bytes"] == (job.outputs / "model" / "model.pt2").stat().st_size
    assert 0 <= record.metrics["model.pt2/difference"] < 1e-4


def test_photographs_are_real_and_of_any_size() -> None:
    three = check.photographs(3, (20, 30))
    assert three.dtype == torch.uint8 and three.shape == (3, 3, 20, 30)
    assert three.float().std() > 30
    assert (three[2].flip(-1).float() - three[0].float()).abs().max() <= 2 < (three[1].float() - three[0]).abs().max()
