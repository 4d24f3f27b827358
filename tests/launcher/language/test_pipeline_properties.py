"""What holds for every pipeline: a valid one compiles to a sound plan, any other is refused and never crashes."""

import contextlib
import copy
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.backends import BACKENDS
from launcher.backends.slurm.batches import batches
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load, validate
from launcher.plan import Plan
from launcher.view.tree import tree
from locat.config import TASKS
from locat.contract.problems import PipelineError
from locat.contract.yaml_source import parse

DIGITS = Path(__file__).parents[3] / "pipelines/digits.yaml"
RUNS = Path("/runs")
AXES = {
    "model": ["vit_tiny", {"name": "locatvit_tiny", "args": {"depth": 2}}],
    "lr": [0.1, 0.001, 1],
    "flag": [True, False, None],
}
NAMES = ["a", "b", "convert-it", "d_1", "eval", "f"]


def compiled(text: str) -> Plan:
    return compile_pipeline(validate(parse(text, "x.yaml")), "run-1", RUNS)


@st.composite
def pipelines(draw: st.DrawFn) -> dict[str, Any]:
    """Valid pipelines; the order of their jobs in the file is not the order of their needs."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    jobs: dict[str, Any] = {}
    for position, name in enumerate(names):
        needs = draw(st.lists(st.sampled_from(names[:position]), unique=True)) if position else []
        axes = draw(st.lists(st.sampled_from(list(AXES)), unique=True))
        job: dict[str, Any] = {"task": draw(st.sampled_from(["convert", "supervised", "compare"])), "needs": needs}
        if axes:
            job["matrix"] = {axis: AXES[axis] for axis in axes}
        if job["task"] == "supervised":
            ranks = draw(st.integers(1, 4))
            job["resources"] = {draw(st.sampled_from(["processes", "gpus"])): ranks}
            job["config"] = {
                "model": {"name": "${matrix.flag} $${x}" if "flag" in axes else "vit_tiny"},
                "data": {"train": "train.beton", "val": "val.beton"},
                "epochs": draw(st.integers(1, 100)),
                "batch_size": ranks * draw(st.integers(1, 100)),
            }
        if job["task"] == "compare":
            outputs = {need: list(TASKS[jobs[need]["task"]].outputs)[-1] for need in needs}
            paths = [f"${{jobs.{need}.outputs.{key}}}" for need, key in outputs.items()]
            job["config"] = {"results": paths or ["metrics.json"]}
        jobs[name] = job
    shuffled = {name: jobs[name] for name in draw(st.permutations(names))}
    return {"name": "generated", "defaults": {"retries": draw(st.integers(0, 3))}, "jobs": shuffled}


@settings(deadline=None)  # machines are shared
@given(pipelines())
def test_a_valid_pipeline_compiles_to_a_sound_plan(pipeline: dict[str, Any]) -> None:
    text = yaml.safe_dump(pipeline, sort_keys=False)
    plan = compiled(text)

    seen: set[str] = set()
    for job in plan.jobs:
        assert set(job.needs) <= seen
        assert len(set(job.needs)) == len(job.needs)
        seen.add(job.name)
    assert len(seen) == len(plan.jobs)
    folders = {plan.job_folder(job.name).path for job in plan.jobs}
    assert len(folders) == len(plan.jobs)
    assert {folder.parent for folder in folders} == {RUNS / "run-1/jobs"}
    assert {job.group for job in plan.jobs} == set(pipeline["jobs"])
    assert "${jobs" not in json.dumps([job.config for job in plan.jobs])

    assert compiled(text).to_json() == plan.to_json()
    assert Plan.from_json(plan.to_json()) == plan
    assert tree(plan)
    for backend in BACKENDS.values():
        assert backend.render(plan) == backend.render(Plan.from_json(plan.to_json()))
    submitted = [job.name for batch in batches(plan, seen) for job in batch.jobs]
    assert sorted(submitted) == sorted(seen) and len(submitted) == len(seen)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["${matrix.model}", "${matrix.model.args}", "${jobs.a.outputs.model}", "$${", "${", "a", "f", "ddp"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("name"), inner, max_size=3)
    ),
    max_leaves=6,
)


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list) and value:
        yield value
        for child in value.values() if isinstance(value, dict) else value:
            yield from _containers(child)


@settings(deadline=None)
@given(pipeline=pipelines(), data=st.data())
def test_a_mutated_pipeline_compiles_or_is_refused(pipeline: dict[str, Any], data: st.DataObject) -> None:
    values = copy.deepcopy(pipeline)
    for _ in range(data.draw(st.integers(1, 3))):
        container = data.draw(st.sampled_from(list(_containers(values))))
        key = data.draw(st.sampled_from(list(container) if isinstance(container, dict) else range(len(container))))
        match data.draw(st.sampled_from(["replace", "remove", "rename"])):
            case "replace":
                container[key] = data.draw(JUNK)
            case "rename" if isinstance(container, dict):
                container[data.draw(st.text(max_size=5) | st.sampled_from(["task", "strategy", "a"]))] = container.pop(
                    key
                )
            case _ if len(container) > 1:
                del container[key]
    with contextlib.suppress(PipelineError):
        tree(compiled(yaml.safe_dump(values, sort_keys=False)))


@settings(deadline=None)
@given(data=st.data())
def test_an_edited_file_compiles_or_is_refused(data: st.DataObject) -> None:
    text = DIGITS.read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    insert = data.draw(
        st.text(max_size=3) | st.sampled_from(["- ", ": ", "{", "[", "*models", "&x ", "\t", "${matrix.model}"])
    )
    with contextlib.suppress(PipelineError):
        compiled(text[:start] + insert + text[end:])


@settings(deadline=None)
@given(data=st.data())
def test_any_override_compiles_or_is_refused(data: st.DataObject) -> None:
    places = validate(parse(DIGITS.read_text(), "x.yaml")).source.places
    paths = st.sampled_from([path for path in places if path])
    overrides = [
        f"{'.'.join(map(str, data.draw(paths)))}{data.draw(st.sampled_from(['', '', '.new', '.0']))}"
        f"={data.draw(st.text(max_size=4) | JUNK.map(json.dumps))}"
        for _ in range(data.draw(st.integers(1, 2)))
    ]
    with contextlib.suppress(PipelineError):
        compile_pipeline(load(DIGITS, overrides), "run-1", RUNS)


def test_a_thousand_jobs_take_a_moment(tmp_path: Path) -> None:
    values = yaml.safe_load(DIGITS.read_text())
    matrix = {**values["jobs"]["pretrain"]["matrix"], "seed": list(range(250))}
    for name in ("pretrain", "segment"):
        values["jobs"][name]["matrix"] = matrix
        values["jobs"][name]["config"]["seed"] = "${matrix.seed}"
    path = tmp_path / "large.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))

    start = time.process_time()
    plan = compile_pipeline(load(path), "run-1", RUNS)
    rendered = {name: backend.render(plan) for name, backend in BACKENDS.items()}
    took = time.process_time() - start

    print(f"{len(plan.jobs)} jobs loaded, compiled and rendered in {took:.2f} s")
    assert all(rendered.values())
    assert len(plan.jobs) == 1002
    assert took < 5


def test_the_compiler_is_light_to_import() -> None:
    code = "import sys, launcher.compile.compiler, launcher.view.tree; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "mlflow", "numpy", "rich"} & set(modules)
