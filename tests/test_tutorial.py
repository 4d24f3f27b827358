"""The tutorial, followed: its files are written and its commands run, in their order."""

import json
import shlex
from pathlib import Path

import pytest
import yaml

from launcher.runs.find import list_runs
from support.documents import ROOT, blocks
from support.reader import Reader

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

TUTORIAL = (ROOT / "docs/tutorial.md").read_text()
SMALLER = (
    *("--set", "jobs.pretrain.config.epochs=1"),
    *(
        "--set",
        "jobs.pretrain.config.model.args={num_classes: 10, img_size: 64, embed_dim: 24, depth: 1, num_heads: 2}",
    ),
)
"""What a test adds where the tutorial trains."""
IMAGES = 16
"""Of each class that a test keeps."""


def write_files(folder: Path) -> None:
    """What the tutorial has its reader write."""
    for language, block in blocks(TUTORIAL):
        if language == "python":
            (folder / block.splitlines()[0].removeprefix("# ")).write_text(block)
        elif language == "yaml" and "include" in (values := yaml.safe_load(block)):
            (folder / f"{values['name'].removeprefix('flowers-')}.yaml").write_text(block)


def test_every_command_does_what_the_reader_expects(tmp_path: Path) -> None:
    write_files(tmp_path)
    reader = Reader.with_files(tmp_path)
    reader.environment["OMP_NUM_THREADS"] = "1"
    said: dict[str, str] = {}
    for language, block in blocks(TUTORIAL):
        for command in block.splitlines() if language == "sh" else ():
            more = f" {shlex.join(SMALLER)}" if "--watch" in command else ""
            codes = (0, 1) if command.startswith("launcher doctor") else (0,)
            said[command] = reader.does(reader.filled(command) + more, codes)
            if "make_images.py" in command:
                for folder in tmp_path.glob("images/*/*"):
                    for image in sorted(folder.iterdir())[IMAGES:]:
                        image.unlink()
    (run,) = list_runs(reader.runs)
    table = (run.path / "report" / "report.md").read_text()
    comparison = json.loads((run.job("compare").outputs / "comparison.json").read_text())
    assert {row["model"] for row in comparison["rows"]} == {"vit_tiny_patch16_224", "locatvit_tiny"}
    for row in comparison["rows"]:
        assert f"| {row['model']} | {row['top1']:.2f} |" in table
    assert said["launcher validate flowers.yaml"] == "flowers.yaml: valid, 4 jobs\n"
    assert "#SBATCH --partition=gpu" in said["launcher render --backend slurm cluster.yaml"]
    assert "claimName: datasets" in said["launcher render --backend kubernetes kubernetes.yaml"]
    assert "/datasets/flowers/train" in said["launcher render --backend kubernetes kubernetes.yaml"]
