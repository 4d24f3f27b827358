"""What descriptions of runs say, from whatever stands in a run's folder."""

from pathlib import Path

import pytest

from launcher.backends.kubernetes.config_maps import ELSEWHERE
from locat.engine.tracking.notes import pipeline_note

SHIPPED = Path(__file__).parents[4] / "pipelines"


@pytest.mark.parametrize("pipeline", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_pipeline_is_told_with_its_jobs_and_how_to_submit_it_again(pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(pipeline.read_text() + "# --set defaults.seed=3\n")
    note = pipeline_note(tmp_path, "1")
    assert f"`launcher report {tmp_path.name}`" in note
    assert f"`launcher submit {tmp_path}/pipeline.yaml --set defaults.seed=3`" in note
    assert "| job | task | needs | once for each |" in note


def test_a_run_that_was_submitted_from_elsewhere_is_told_without_its_pipeline(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(ELSEWHERE)
    note = pipeline_note(tmp_path, "1")
    assert str(tmp_path) in note
    assert "launcher submit" not in note
