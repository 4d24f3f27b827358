"""The dry run's text."""

from pathlib import Path

from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load, validate
from launcher.view.tree import tree
from locat.contract.yaml_source import parse


def test_the_demo_reads_well() -> None:
    pipeline = load(Path(__file__).parents[3] / "pipelines/digits.yaml")
    lines = tree(compile_pipeline(pipeline, "digits-1", Path("/runs"))).splitlines()
    assert lines[0].startswith("digits-1: ViT against LocAtViT")
    assert lines[1] == "folder    /runs/digits-1"
    assert "├── segment-locatvit_tiny  after convert, pretrain-locatvit_tiny" in lines
    assert lines[-3:] == [
        "└── compare  after 2 of pretrain, 2 of segment",
        "      compare on 1 rank, 1 core, 1 retry",
        "      OMP_NUM_THREADS=1 python -m locat /runs/digits-1/jobs/compare/config.yaml",
    ]


def test_many_instances_are_counted() -> None:
    values = ", ".join(map(str, range(100)))
    text = f"name: x\njobs:\n  a:\n    task: convert\n    matrix: {{n: [{values}]}}\n"
    lines = tree(compile_pipeline(validate(parse(text, "x.yaml")), "x-1", Path("/runs"))).splitlines()
    assert lines[-1] == "└── ... and 92 more of a"
    assert len(lines) < 40
