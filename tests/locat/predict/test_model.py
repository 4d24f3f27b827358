"""`locat.Model`: what it says of pictures is what the model says of them, prepared as for its evaluation."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform

import locat
from locat.config.segmentation import SegmentEvaluation
from locat.contract.errors import ConfigError, DataError, UserError, WeightsError
from locat.data.augment.normalise import normalize
from locat.data.joint import resize_image
from locat.models.create import load_backbone, save_model
from locat.tasks.classification.frozen import FrozenBackbone
from locat.tasks.segmentation.views import look
from support import pictures, training
from support.trained_models import CLASSES, LABELS, opened

CUT = {"input_size": (3, 32, 32), "crop_pct": 0.8, "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.5,) * 3}
WITHOUT_FEATURES: dict[str, dict[str, object]] = {
    "cvt_21": {"depths": (1, 2, 3), "dims": (12, 12, 12)},
    "conformer_base": {"embed_dim": 12, "num_heads": 2, "channels": 8},
}


def test_probabilities_are_those_of_timms_own_preprocessing(models: Path, photos: Path) -> None:
    model = locat.Model.from_folder(models / "classifier")
    files = [photos / "a.jpg", photos / "b.jpg", photos / "trip" / "d.jpg"]
    found = model.classify(files)
    transform = create_transform(**CUT)
    images = torch.stack([transform(opened(file)) for file in files])
    reference, _ = load_backbone(models / "classifier")
    with torch.no_grad():
        torch.testing.assert_close(found, reference.eval()(images).softmax(1), rtol=1e-4, atol=1e-5)
    assert model.classes == LABELS
    given = model.classify([opened(files[0]), np.asarray(opened(files[1])), str(files[2])])
    torch.testing.assert_close(given, found, rtol=0, atol=1e-6)


def test_embeddings_are_what_the_classifier_would_read(models: Path, photos: Path) -> None:
    for name in ("classifier", "backbone"):
        model = locat.Model.from_folder(models / name)
        found = model.embed([photos / "a.jpg"])
        reference, _ = load_backbone(models / name)
        cut = CUT if name == "classifier" else {**CUT, "crop_pct": 0.9}
        image = create_transform(**cut)(opened(photos / "a.jpg"))[None]
        with torch.no_grad():
            expected = reference.eval().forward_head(reference.forward_features(image), pre_logits=True)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    half = locat.Model.from_folder(models / "classifier", precision="bf16").classify([photos / "a.jpg"])
    exact = locat.Model.from_folder(models / "classifier").classify([photos / "a.jpg"])
    assert half.dtype == torch.float32 and 0 < (half - exact).abs().max() < 0.05


@pytest.mark.parametrize(("name", "args"), [*WITHOUT_FEATURES.items()])
def test_a_model_without_timms_features_gives_what_it_returns(
    name: str, args: dict[str, object], photos: Path, tmp_path: Path
) -> None:
    raw = timm.create_model(name, **args, num_classes=3).eval()
    save_model(raw, tmp_path / "model", num_classes=3, **args)
    model = locat.Model.from_folder(tmp_path / "model")
    seen = model.prepare(opened(photos / "a.jpg")).pixels[None]
    with torch.no_grad():
        expected = raw(normalize(seen, model.mean, model.std)).softmax(1)  # type: ignore[attr-defined]
    torch.testing.assert_close(model.classify([photos / "a.jpg"]), expected)
    with pytest.raises(ConfigError, match=f"{name}, a classifier: it gives no embeddings, but labels"):
        model.embed([photos / "a.jpg"])
    with pytest.raises(ConfigError, match="the backbone gives only its last answer"):
        FrozenBackbone(raw, name, 32, torch.device("cpu"))


@pytest.mark.parametrize("name", ["segmenter", "windows"])
def test_masks_have_the_pictures_size_and_are_those_of_the_resized_picture(
    name: str, models: Path, photos: Path
) -> None:
    model, raw = locat.Model.from_folder(models / name), locat.load_segmenter(models / name)
    files = [photos / "a.jpg", photos / "b.jpg", photos / "trip" / "d.jpg"]
    masks = model.segment(files)
    assert model.classes == CLASSES
    assert [mask.shape for mask in masks] == [(30, 40), (30, 40), (33, 101)]
    image = torch.from_numpy(np.array(opened(files[2]))).permute(2, 0, 1)
    small = resize_image(image, (21, 64))[None]  # 101 x 33 into 64 x 32
    with torch.no_grad():
        if name == "windows":
            logits = look(raw._logits, small / 127.5 - 1, SegmentEvaluation(window=24, stride=16, flip=True))
        else:
            patches = raw.segmenter(small / 127.5 - 1)
            logits = torch.nn.functional.interpolate(patches, (24, 64), mode="bilinear")[..., :21, :]
        expected = torch.nn.functional.interpolate(logits, (33, 101), mode="bilinear").argmax(1)[0]
    assert len(expected.unique()) == 2
    assert (torch.from_numpy(masks[2]) == expected).float().mean() > 0.999


@pytest.mark.parametrize(
    ("name", "call", "words"),
    [
        ("backbone", "classify", "a backbone without a classifier: it gives no labels, but embeddings"),
        ("classifier", "segment", "a classifier: it gives no masks, but embeddings and labels"),
        ("segmenter", "embed", "a segmentation model: it gives no embeddings, but masks"),
    ],
)
def test_what_a_model_cannot_be_asked(name: str, call: str, words: str, models: Path, photos: Path) -> None:
    model = locat.Model.from_folder(models / name)
    with pytest.raises(ConfigError, match=words):
        getattr(model, call)([photos / "a.jpg"])


def test_what_is_no_picture_is_named(models: Path, photos: Path) -> None:
    model = locat.Model.from_folder(models / "classifier")
    with pytest.raises(DataError, match=r"c\.png: not an image"):
        model.classify([photos / "a.jpg", photos / "c.png"])
    with pytest.raises(DataError, match=r"image 1: float64 \(3, 4\); pixels are uint8"):
        model.classify([opened(photos / "a.jpg"), np.zeros((3, 4))])
    with pytest.raises(DataError, match="image 0: image file is truncated"):
        model.classify([Image.open(io.BytesIO(pictures.jpeg(1, 200, 200)[:-600]))])
    with pytest.raises(DataError, match="too narrow"):
        model.classify([Image.new("RGB", (1, 400_000))])
    with pytest.raises(DataError, match="nowhere"):
        model.classify([photos / "nowhere.jpg"])
    assert model.classify([]).numel() == 0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere", "nowhere: no such folder"),
        ("{models}", "holds no model that can be loaded"),
        ("{job}", "is a job's folder, and its model lies in"),
        ("{head}", "holds a head without its backbone"),
        ("run:mine/job", "write the job's folder, such as runs/mine/jobs/job/outputs"),
        ("run:/data/mine/job", "write the job's folder, such as /data/mine/jobs/job/outputs"),
        ("hf-hub:alone", "write hf-hub:OWNER/NAME"),
        ("https://somewhere/x", "is a URL"),
    ],
)
def test_a_source_that_is_none_is_told_in_a_sentence(source: str, words: str, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "classifier", tmp_path / "outputs")
    (tmp_path / "head").mkdir()
    shutil.copy(models / "segmenter" / "head.safetensors", tmp_path / "head")
    with pytest.raises(UserError) as refusal:
        locat.Model.from_source(source.format(models=models, job=tmp_path, head=tmp_path / "head"))
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99"])
def test_a_device_that_is_not_there(device: str, models: Path) -> None:
    with pytest.raises(ConfigError, match=f"device '{device}'"):
        locat.Model.from_folder(models / "classifier", device=device)


def test_class_names_are_those_of_config_json_or_imagenets_or_numbers(models: Path, tmp_path: Path) -> None:
    args = {**training.TINY_VIT, "num_classes": 1000}
    save_model(timm.create_model("locatvit_tiny", **args), tmp_path, **args)
    assert locat.Model.from_folder(tmp_path).classes[:2] == ("tench, Tinca tinca", "goldfish, Carassius auratus")
    shutil.copytree(models / "classifier", tmp_path / "changed")
    file = tmp_path / "changed" / "config.json"
    config = json.loads(file.read_text())
    for names, expected in ((None, ("0", "1", "2")), ({"0": "a", "1": "b", "2": "c"}, ("a", "b", "c"))):
        file.write_text(json.dumps({**config, "label_names": names}))
        assert locat.Model.from_folder(file.parent).classes == expected
    for names in (["a"], ["a", "b", 3], ["a", "b", "c", "d"]):
        file.write_text(json.dumps({**config, "label_names": names}))
        with pytest.raises(WeightsError, match=r"names \d classes, and the model has 3"):
            locat.Model.from_folder(file.parent)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_args": [1]}, "holds no model that can be loaded"),
        ({"label_names": 5}, "label_names is to be a list"),
        ({"label_names": "abc"}, "label_names is to be a list"),
        ({"label_descriptions": ["a"]}, "label_descriptions a mapping"),
        ({"test_input_size": [3]}, "does not say how images are prepared"),
        ({"interpolation": "guess"}, "does not say how images are prepared: KeyError('guess')"),
        ({"test_crop_pct": "large"}, "does not say how images are prepared: TypeError"),
    ],
)
def test_a_config_json_that_says_something_else(
    changes: dict[str, object], words: str, models: Path, tmp_path: Path
) -> None:
    shutil.copytree(models / "classifier", tmp_path / "changed")
    file = tmp_path / "changed" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, **changes, "pretrained_cfg": {**config["pretrained_cfg"], **changes}}))
    with pytest.raises(WeightsError) as refusal:
        locat.Model.from_folder(file.parent)
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_model_that_is_not_a_vit(tmp_path: Path, photos: Path) -> None:
    save_model(timm.create_model("resnet10t", num_classes=2), tmp_path / "resnet", num_classes=2)
    model = locat.Model.from_folder(tmp_path / "resnet")
    assert model.classify([photos / "a.jpg"]).shape == (1, 2)
    assert model.embed([photos / "a.jpg"]).shape == (1, 512)
