"""`python -m locat predict`, as a user types it."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

import locat
from locat.commands import commands
from locat.contract import durable
from locat.predict.classification import Classifier
from locat.tasks.segmentation.figures import class_colours
from support import pictures
from support.trained_models import CLASSES


def predict(*words: object) -> Result:
    return CliRunner().invoke(commands, ["predict", "--device=cpu", *map(str, words)])


def lines(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_labels_with_probabilities_and_embeddings(models: Path, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "e.npz"
    result = predict("--model", models / "classifier", photos, "--embeddings", file, "--batch-size", 2, "--top", 2)
    assert result.exit_code == 1
    broken = photos / "c.png"
    assert result.stderr == f"{broken}: not an image\n1 of 4 images could not be read\n"
    found = lines(result)
    assert [Path(line["image"]).name for line in found] == ["a.jpg", "b.jpg", "c.png", "d.jpg"]
    assert found[2] == {"image": str(broken), "error": "not an image"}
    model = locat.Model.from_folder(models / "classifier")
    sound = [line for line in found if "error" not in line]
    files = [line["image"] for line in sound]
    for line, expected in zip(sound, model.classify(files), strict=True):
        assert line["label"] == model.classes[expected.argmax()]
        assert line["probability"] == line["top"][0]["probability"] == pytest.approx(expected.max().item(), abs=1e-5)
        assert len(line["top"]) == 2 and model.classes[line["top"][1]["class"]] == line["top"][1]["label"]
    written = np.load(file)
    assert written["names"].tolist() == files
    np.testing.assert_allclose(written["embeddings"], model.embed(files), atol=1e-5)


def test_masks_have_a_palette_and_the_pictures_size(models: Path, photos: Path, tmp_path: Path) -> None:
    masks, overlays = tmp_path / "masks", photos / "overlays"
    (photos / "c.png").write_bytes(pictures.encoded(pictures.picture(50, 20), "PNG"))
    options = ("--masks", masks, "--overlays", overlays)
    result = predict("--model", models / "segmenter", photos, *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert predict("--model", models / "segmenter", photos, *options).stdout == result.stdout
    assert sorted(str(file.relative_to(masks)) for file in masks.rglob("*.*")) == [
        "a.png",
        "b.png",
        "c.png",
        "classes.json",
        "trip/d.png",
    ]
    expected = locat.Model.from_folder(models / "segmenter").segment([line["image"] for line in lines(result)])
    colours = (class_colours(len(CLASSES)) * 255).round().astype(np.uint8)
    for line, mask in zip(lines(result), expected, strict=True):
        drawn = Image.open(line["mask"])
        assert drawn.mode == "P" and np.array_equal(np.asarray(drawn), mask)
        assert np.array_equal(np.asarray(drawn.convert("RGB")), colours[mask])
        assert Image.open(line["overlay"]).size == (line["width"], line["height"]) == drawn.size
        assert line["classes"] == {
            CLASSES[number]: pytest.approx((mask == number).mean(), abs=1e-6) for number in np.unique(mask)
        }
    legend = json.loads((overlays / "classes.json").read_text())
    assert legend[1] == {"class": "road", "colour": "#{:02x}{:02x}{:02x}".format(*colours[1])}


def test_deep_pictures_are_brought_to_eight_bits_as_for_training(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "segmenter", tmp_path / "model")
    file = tmp_path / "model" / "segmentation.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "brightness": {"range": [0, 510]}}))
    grey = np.asarray(pictures.picture(40, 30).convert("L")).astype(np.uint16)
    (tmp_path / "deep.png").write_bytes(pictures.encoded(Image.fromarray(grey * 2), "PNG"))
    (tmp_path / "flat.png").write_bytes(pictures.encoded(Image.fromarray(grey.astype(np.uint8)), "PNG"))
    words = [tmp_path / "deep.png", tmp_path / "flat.png", "--overlays", tmp_path / "o"]
    deep, flat = lines(predict("--model", tmp_path / "model", *words))
    assert deep["classes"] == flat["classes"]
    assert Path(deep["overlay"]).read_bytes() == Path(flat["overlay"]).read_bytes()
    assert np.array_equal(*locat.Model.from_folder(tmp_path / "model").segment(words[:2]))


def test_turned_pictures_are_told_or_set_upright(models: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / "phone.jpg").write_bytes(pictures.encoded(pictures.picture(40, 30), exif=exif))
    words = ("--model", models / "segmenter", tmp_path / "phone.jpg", "--overlays", tmp_path / "o")
    stored, upright = predict(*words), predict(*words, "--upright")
    assert "1 of the images is turned by its EXIF" in stored.stderr and upright.stderr == ""
    assert (lines(stored)[0]["width"], lines(upright)[0]["width"]) == (40, 30)
    assert Image.open(tmp_path / "o" / "phone.png").size == (30, 40)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model={models}/backbone",), "gives no labels, but embeddings"),
        (("--model={models}/classifier", "--masks={out}"), "gives no masks"),
        (("--model={models}/segmenter", "--embeddings={out}/e.npz"), "gives no embeddings"),
        (("--model={models}/classifier", "--embeddings={out}/e.parquet"), "is to end with .npz"),
        (("--model={models}/segmenter", "--masks={out}", "--overlays={out}/x/.."), "give two folders"),
        (("--model={models}/segmenter", "--masks={out}", "{photos}/a.jpg"), "would both become"),
        (("--model={models}/segmenter", "--masks={photos}"), "would be written over"),
        (("--model={models}/segmenter", "--masks={photos}/a.jpg/x"), "cannot be written (Not a directory)"),
        (("--model={models}/classifier", "--embeddings={folder}.npz"), "cannot be written (is a folder)"),
        (("--model={models}/classifier", "{out}/nowhere.jpg"), "no such file or folder"),
        (("--model={models}/nowhere",), "no such folder"),
        (("--model={models}/classifier", "--device=gpu"), "device 'gpu'"),
        (("--model={models}/classifier", "--batch-size=0"), "0 is not in the range"),
        ((), "Missing option '--model'"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_nothing_is_written(
    words: tuple[str, ...], sentence: str, models: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "c.png").rename(photos / "e.png")
    (tmp_path / "folder.npz").mkdir()
    before = sorted(tmp_path.rglob("*"))
    places = {"models": models, "photos": photos, "out": tmp_path / "out", "folder": tmp_path / "folder"}
    result = predict(photos, *(word.format(**places) for word in words))
    assert result.exit_code == 2
    assert sentence in result.stderr and "Traceback" not in result.output
    assert result.stdout == "" and sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_and_a_full_gpu_end_it_with_a_sentence(
    models: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(durable, "write_bytes", full)
        patched.setattr(durable, "write_json", lambda path, value: None)
        result = predict("--model", models / "segmenter", photos, "--masks", tmp_path / "m")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{tmp_path / 'm' / 'a.png'}: cannot be written (No space left on device)" in result.stderr

    def exhausted(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Classifier, "_answer", exhausted)
    result = predict("--model", models / "classifier", photos, "--embeddings", tmp_path / "e.npz")
    assert result.exit_code == 1 and "lower the batch size" in result.stderr
    assert not (tmp_path / "e.npz").exists()


def test_a_progress_bar_is_on_a_terminal_alone_and_lines_go_to_the_file(models: Path, photos: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "locat", "predict", "--model", models / "classifier", photos / "a.jpg"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "predicting" in shown and "{" not in shown
    assert json.loads(done.stdout)["image"] == str(photos / "a.jpg")


def test_help_does_without_torch() -> None:
    code = (
        "import sys, locat.__main__ as program\n"
        "sys.argv[1:] = ['predict', '--help']\n"
        "try: program.main()\n"
        "finally: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--overlays" in done.stdout
    assert not {"torch", "timm", "matplotlib", "PIL"} & set(done.stdout.split())
