"""The pipelines that come with the project: valid, and their headers say what is true."""

from pathlib import Path

import pytest

from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load
from launcher.view.tree import tree

PIPELINES = sorted((Path(__file__).parents[3] / "pipelines").glob("*.yaml"))


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_a_header_tells_command_aim_expectation_and_cost(path: Path) -> None:
    header = "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))
    for part in (f"launcher submit pipelines/{path.name}", "# Reproduces: ", "# Expect: ", "# Costs: "):
        assert part in header


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_it_compiles_and_what_it_says_to_cost_on_gpus_is_what_the_dry_run_says(path: Path) -> None:
    plan = compile_pipeline(load(path), f"{path.stem}-1", Path("/runs"))
    if any(job.resources.gpus for job in plan.jobs):
        (needs,) = (line for line in tree(plan).splitlines() if line.startswith("needs"))
        assert f"# Costs: {needs.removeprefix('needs').strip()}\n" in path.read_text()
