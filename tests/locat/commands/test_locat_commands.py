"""`python -m locat COMMAND`, as a user types it."""

import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner
from mlflow.tracking import MlflowClient
from PIL import Image

import locat.models  # noqa: F401
from locat import __main__
from locat.commands import commands
from locat.contract import published
from locat.models.create import save_model

VIT = {"img_size": (32, 48), "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 5}


@pytest.fixture
def folder(tmp_path):
    for name in ("vit_tiny_patch16_224", "locatvit_tiny"):
        torch.manual_seed(0)
        save_model(timm.create_model(name, **VIT), tmp_path / name, **VIT)
    pixels = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    return tmp_path


def invoke(folder, *options):
    checkpoints = (f"--checkpoint={folder / name}" for name in ("vit_tiny_patch16_224", "locatvit_tiny"))
    fixed = [*checkpoints, f"--image={folder / 'image.png'}", f"--out={folder / 'maps.png'}"]
    return CliRunner().invoke(commands, ["attention-maps", *fixed, *map(str, options)])


def test_models_prints_ours_beside_the_paper(monkeypatch):
    monkeypatch.setattr(published, "TAB_1", published.TAB_1[:2])
    result = CliRunner().invoke(commands, ["models"])
    assert result.exit_code == 0, result.output
    row = next(line for line in result.output.splitlines() if "locatvit_tiny" in line)
    assert [cell.strip() for cell in row.split("│")[2:-1]] == ["5.72", "6", "1.26", "1.27", "1.27"]


def test_attention_maps_writes_a_picture_and_an_artifact(folder, monkeypatch):
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = MlflowClient(uri)
    experiment = client.create_experiment("maps", str(folder / "artifacts"))
    run = client.create_run(experiment).info.run_id
    result = invoke(folder, "--patch", 1, 2, "--mlflow-run", run)
    assert result.exit_code == 0, result.output
    width, height = Image.open(folder / "maps.png").size
    assert width > height > 300
    assert [file.path for file in client.list_artifacts(run, "figures")] == ["figures/maps.png"]
    unknown = invoke(folder, "--mlflow-run", "nowhere")
    assert unknown.exit_code == 2
    assert "MLFLOW_TRACKING_URI" in unknown.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--patch", 4, 0], "4 x 6 grid"),
        (["--block", 2], "2 blocks"),
        (["--image", "nowhere.png"], "nowhere.png"),
        (["--checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_told_in_a_sentence(folder, options, words):
    result = invoke(folder, *options)
    assert result.exit_code == 2
    assert words in result.output
    assert not (folder / "maps.png").exists()


def test_models_that_attend_in_windows_are_refused(folder):
    swin = timm.create_model("swin_tiny_patch4_window7_224", embed_dim=8, depths=(1, 1), num_heads=(1, 1))
    save_model(swin, folder / "swin", embed_dim=8, depths=(1, 1), num_heads=(1, 1))
    result = invoke(folder, f"--checkpoint={folder / 'swin'}")
    assert result.exit_code == 2
    assert "attention maps are drawn for ViTs" in result.output


def test_a_config_is_still_a_job(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["locat", "/nowhere/config.yaml"])
    monkeypatch.setattr(__main__, "die_with_parent", lambda _signal: None)
    assert __main__.main() == 2
    assert "/nowhere/config.yaml" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["locat"])
    assert __main__.main() == 2
    assert "usage: python -m locat JOB_DIR/config.yaml" in capsys.readouterr().err
