"""docs/own-masks.md, followed: its files are written and its commands run, in their order."""

import json

import pytest
import yaml

from launcher.runs.find import list_runs
from locat.data import beton
from support.documents import ROOT, blocks
from support.reader import Reader

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

DOCUMENT = (ROOT / "docs/own-masks.md").read_text()
SMALLER = (
    " --set jobs.pretrain.config.epochs=1 --set jobs.pretrain.config.schedule.warmup_epochs=0"
    " --set jobs.segment.config.iterations=20 --set jobs.segment.config.evaluate_iterations=20"
)
"""What a test adds where the page trains."""


def test_every_command_does_what_the_reader_expects(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("reader")
    reader = Reader.with_files(folder)
    reader.environment["OMP_NUM_THREADS"] = "1"
    said: dict[str, str] = {}
    for language, block in blocks(DOCUMENT):
        if language == "python":
            (folder / "make_masks.py").write_text(block)
        elif language == "yaml" and yaml.safe_load(block).get("include"):
            (folder / "small.yaml").write_text(block)
        for command in block.splitlines() if language == "sh" else ():
            said[command] = reader.does(command + (SMALLER if "--watch" in command else ""))
    assert said["launcher validate scenes.yaml"] == "scenes.yaml: valid, 6 jobs\n"
    (run,) = list_runs(reader.runs)
    outputs = run.job("convert").outputs
    train, val = (beton.open_manifest(outputs / f"{split}.beton") for split in ("train", "val"))
    assert (train.contents.samples, val.contents.samples) == (43, 5)
    assert train.contents.source == "scenes" and all(train.pixels)
    assert (outputs / "figures/pixels.png").exists()
    segmented = run.job("segment-locatvit_tiny-0").outputs
    assert (segmented / "figures/overlays.png").exists()
    classes = json.loads((segmented / "classes.json").read_text())
    assert [row["class"] for row in classes] == ["other", "sky and water", "petals"]
    table = (run.path / "report" / "report.md").read_text()
    assert "scenes mIoU" in table
    for row in json.loads((run.job("compare").outputs / "comparison.json").read_text())["rows"]:
        assert f"| {row['model']} |" in table
