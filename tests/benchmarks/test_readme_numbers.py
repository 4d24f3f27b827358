"""README.md and docs/results.md have the numbers of benchmarks/results/digits.json, and the pictures are as said."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from locat.contract.comparison import Comparison
from locat.data.datasets.base import Sample
from support.documents import ROOT

SHOWN = 830  # pixels that a code host gives a page's text


@pytest.fixture
def readme(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return import_module("readme")


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return import_module("readme_pictures")


def test_the_tables_are_those_of_the_record(readme: Any) -> None:
    record = json.loads(readme.RECORD.read_text())
    for name, tables in readme.PAGES.items():
        page = (ROOT / name).read_text()
        assert readme.filled(page, record, tables) == page, "run `make readme`"
        for table in tables.values():
            assert table(record) in page


def test_a_number_that_is_not_recorded_would_be_noticed(readme: Any) -> None:
    record = json.loads(readme.RECORD.read_text())
    record["runs"][0]["metrics"]["locatvit_tiny"]["miou"] += 1
    for name, tables in readme.PAGES.items():
        page = (ROOT / name).read_text()
        assert readme.filled(page, record, tables) != page


def test_sentences_about_the_lead_agree_with_the_record(readme: Any) -> None:
    def said(page: str) -> str:
        return (ROOT / page).read_text().replace("\n", " ")

    runs = [run["metrics"] for run in json.loads(readme.RECORD.read_text())["runs"]]
    vit, locatvit = readme.MODELS
    leads = [[run[locatvit][metric] - run[vit][metric] for run in runs] for metric in readme.METRICS]
    assert min(map(min, leads)) > 0, "LocAtViT leads in every seed"
    top1, miou = (f"{first:.1f}, {second:.1f} and {third:.1f}" for first, second, third in leads)
    assert f"by {top1} points of top-1, and by {miou} of mIoU" in said("docs/results.md")
    top1, miou = (f"{min(lead):.1f} to {max(lead):.1f}" for lead in leads)
    assert f"by {top1} points of top-1 and by {miou} of mIoU" in said("README.md")


def test_the_run_that_gave_the_numbers_is_found_or_run(
    readme: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = json.loads(readme.RECORD.read_text())["runs"][0]
    rows: list[dict[str, str | float]] = [{"model": model, **found} for model, found in recorded["metrics"].items()]
    monkeypatch.setenv("LAUNCHER_RUNS", str(tmp_path))
    monkeypatch.setattr(readme, "submitted", lambda seed: readme.launcher.Run(tmp_path / "unlike"))
    with pytest.raises(SystemExit, match=r"other numbers than digits\.json; measure all seeds again with --measure"):
        readme.run_of(recorded)

    (tmp_path / "digits-0" / "jobs" / "compare").mkdir(parents=True)
    (tmp_path / "digits-0" / "plan.json").touch()
    Comparison(["model", *readme.METRICS], rows).write(tmp_path / "digits-0" / "jobs" / "compare" / "outputs")
    assert readme.run_of(recorded).name == "digits-0"


@pytest.mark.parametrize("name", ["scenes.png", "comparison.png", "attention-maps.png"])
def test_pictures_have_twice_the_pixels_that_they_are_shown_at(name: str) -> None:
    assert Image.open(ROOT / "docs" / "images" / name).width == 2 * SHOWN


def test_pixels_of_the_right_digit_are_blue_and_of_another_orange(pictures: Any) -> None:
    sample = Sample(np.full((2, 2, 3), 100, np.uint8), 3, np.array([[3, 3], [10, 10]], np.uint8))
    drawn = pictures.judged(sample, np.array([[3, 7], [3, 10]], np.uint8))
    assert np.allclose(drawn[0], [pictures.BLUE, pictures.ORANGE]) and np.allclose(drawn[1, 0], pictures.BLUE)
    assert np.allclose(drawn[1, 1], 100 / 255 * 0.6)
    assert pictures.digit_iou(sample, np.array([[3, 7], [3, 10]], np.uint8)) == pytest.approx(100 / 3)
    assert [pictures.signed(points) for points in (-9.4, 0.4, -0.4, 31)] == ["\N{MINUS SIGN}9", "0", "0", "+31"]


def test_scenes_are_drawn_at_even_shares_of_all(pictures: Any) -> None:
    shares = np.array(pictures.SHARES)
    assert np.allclose(np.diff(shares), np.diff(shares)[0]) and shares[0] == pytest.approx(1 - shares[-1])
    assert pictures.drawn(range(2000)) == [100, 400, 700, 1000, 1300, 1600, 1900]
