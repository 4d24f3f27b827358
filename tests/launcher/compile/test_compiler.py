"""Pipelines to plans: the demo's golden plan, and each rule of the language by itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load, validate
from launcher.plan import Plan, Resources
from launcher.runs.folder import RunFolder
from locat.contract.problems import PipelineError
from locat.contract.records import FormatError
from locat.contract.yaml_source import parse

DIGITS = Path(__file__).parents[3] / "pipelines/digits.yaml"
GOLDEN = Path(__file__).parents[1] / "golden/digits.plan.json"

PIPELINE = """
name: small
defaults: {resources: {processes: 2}, seed: 3, retries: 1, env: {A: 1, B: x}}
jobs:
  convert: {task: convert}
  train:
    task: supervised
    needs: [convert]
    matrix:
      lr: [1e-3, 1e-4]
      model: [{name: tiny, args: {depth: 2}}, {name: small, args: {depth: 4}}]
    env: {B: "${matrix.model.name}"}
    config:
      model: ${matrix.model}
      optimizer: {lr: "${matrix.lr}"}
      data: {train: "${jobs.convert.outputs.train}", val: "${jobs.convert.outputs.val}"}
      epochs: 1
      batch_size: 8
"""
COMPARE = """
  compare:
    task: compare
    needs: [train]
    config: {results: [first.json, "${jobs.train.outputs.metrics}", last.json]}
"""


def compiled(text: str) -> Plan:
    return compile_pipeline(validate(parse(text, "x.yaml")), "run-1", Path("/runs"))


def refusal(text: str) -> str:
    with pytest.raises(PipelineError) as error:
        compiled(text)
    return str(error.value)


def test_the_demo_compiles_to_its_golden_plan() -> None:
    """After a change that is meant: write `plan.to_json()` to the golden file, and read its diff."""
    plan = compile_pipeline(load(DIGITS), "digits-1", Path("/runs"))
    assert plan.to_json() == GOLDEN.read_text()
    assert Plan.from_json(plan.to_json()) == plan


def test_a_plan_of_before_there_were_numbers_is_read_and_written_as_it_was() -> None:
    """The image that its jobs run in may be as old, and refuses a key that it does not know."""
    old = GOLDEN.read_text().replace('  "format": 2,\n', "", 1)
    assert Plan.from_json(old) == Plan.from_json(GOLDEN.read_text())
    assert Plan.from_json(old).to_json() == old
    older = {key: value for key, value in json.loads(old).items() if key != "secrets"}
    older["jobs"] = [{key: value for key, value in job.items() if key != "storage"} for job in older["jobs"]]
    assert Plan.from_json(json.dumps(older)) == Plan.from_json(old)


def test_what_a_newer_version_adds_to_a_plan_is_ignored_and_what_it_changes_refused(tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    more = {**golden, "new": 1, "jobs": [{**job, "new": 1} for job in golden["jobs"]]}
    assert Plan.from_json(json.dumps(more)).to_json() == GOLDEN.read_text()
    (tmp_path / "plan.json").write_text(json.dumps({**golden, "format": 3}))
    with pytest.raises(FormatError, match=rf"^{tmp_path}/plan.json: is of format 3, .* up to format 2; install"):
        RunFolder(tmp_path).plan()


def test_the_demo_follows_set() -> None:
    overrides = ["defaults.strategy=deepspeed", "jobs.pretrain.config.epochs=2"]
    plan = compile_pipeline(load(DIGITS, overrides), "digits-1", Path("/runs"))
    configs = [job.config for job in plan.jobs if job.group == "pretrain"]
    assert [config["strategy"]["name"] for config in configs] == ["deepspeed"] * 2
    assert [config["epochs"] for config in configs] == [2, 2]


def test_instances_take_their_values_with_their_types() -> None:
    plan = compiled(PIPELINE)
    names = [job.name for job in plan.jobs]
    assert names == ["convert", "train-0.001-tiny", "train-0.001-small", "train-0.0001-tiny", "train-0.0001-small"]
    last = plan.jobs[-1]
    assert last.config["optimizer"]["lr"] == 0.0001
    assert last.config["model"] == {"name": "small", "args": {"depth": 4}}
    assert last.environment == {"OMP_NUM_THREADS": "1", "A": "1", "B": "small"}
    assert last.matrix == {"lr": 0.0001, "model": {"name": "small", "args": {"depth": 4}}}
    assert last.config["tracking"]["run_tags"] == {"run_id": "run-1", "pipeline": "small"}
    assert last.config["tracking"]["tags"] == {
        "job": "train-0.0001-small",
        "matrix.lr": "0.0001",
        "matrix.model": "small",
    }


def test_defaults_hold_where_the_task_has_them() -> None:
    plan = compiled(PIPELINE)
    assert plan.job("convert").resources == Resources()
    assert plan.job("train-0.001-tiny").resources == Resources(processes=2, cpus=2)
    assert plan.job("train-0.001-tiny").config["seed"] == 3
    assert plan.job("convert").command == ("python", "-m", "locat", "/runs/run-1/jobs/convert/config.yaml")
    assert plan.job("train-0.001-tiny").command[:4] == ("python", "-m", "locat.ranks", "--processes=2")


def test_config_wins_over_job_wins_over_defaults() -> None:
    def strategy(defaults: str, job: str, config: str) -> Any:
        text = PIPELINE.replace("seed: 3", f"seed: 3{defaults}").replace("    needs: [convert]", f"    {job}")
        plan = compiled(text.replace("epochs: 1", f"epochs: 1{config}"))
        return plan.jobs[-1].config["strategy"]["name"]

    needs, job = "needs: [convert]", "\n    strategy: fsdp"
    assert strategy(", strategy: ddp", needs, "") == "ddp"
    assert strategy(", strategy: ddp", needs + job, "") == "fsdp"
    assert strategy(", strategy: ddp", needs + job, "\n      strategy: deepspeed") == "deepspeed"


def test_jobs_are_joined_on_the_axes_they_share() -> None:
    head = """
  head:
    task: segment
    needs: [train]
    matrix: {seed: [1, 2], model: [{name: small}, {name: tiny}], lr: [1e-4]}
    config:
      backbone: ${jobs.train.outputs.model}
      seed: ${matrix.seed}
      data: {train: "${jobs.convert.outputs.train}", val: b.beton}
      iterations: 1
      batch_size: 2
"""
    job = compiled(PIPELINE + head).job("head-2-tiny-0.0001")
    assert job.config["backbone"] == "/runs/run-1/jobs/train-0.0001-tiny/outputs"
    assert job.config["data"]["train"] == "/runs/run-1/jobs/convert/outputs/train.beton"
    # What is referred to through a needed job is needed as well.
    assert job.needs == ("train-0.0001-tiny", "convert")


def test_several_instances_are_spliced_into_a_list() -> None:
    job = compiled(PIPELINE + COMPARE).job("compare")
    assert [Path(path).parts[-3:-1] for path in job.config["results"][1:-1]] == [
        (need, "outputs") for need in job.needs
    ]
    assert job.config["results"][0] == "first.json"
    assert job.config["results"][-1] == "last.json"


def test_several_instances_are_no_single_value() -> None:
    text = PIPELINE + COMPARE.replace('"${jobs.train.outputs.metrics}"', '"in ${jobs.train.outputs.metrics}"')
    assert "inside text only a single value can stand" in refusal(text)


def test_a_wrong_item_after_a_splice_is_placed_at_its_list() -> None:
    message = refusal(PIPELINE + COMPARE.replace("last.json", "{}"))
    assert message == "x.yaml:23:14: jobs.compare.config.results: expected a path, got an empty mapping"


def test_text_is_formatted_and_escapes_are_kept() -> None:
    plan = compiled(
        PIPELINE.replace("B: x", "B: x, C: 'lr=$${x} $$ {}'").replace('"${matrix.model.name}"', "'<${ matrix.lr }>'")
    )
    assert plan.jobs[1].environment["C"] == "lr=${x} $$ {}"
    assert plan.jobs[1].environment["B"] == "<0.001>"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("{gpus: 4}", Resources(1, 4, 4, 4)),
        ("{gpus: 0}", Resources(1, 2, 0, 2)),
        ("{processes: 1, cpus: 6}", Resources(1, 1, 0, 6)),
        ("{nodes: 2}", Resources(2, 2, 0, 2)),
    ],
)
def test_resources(asked: str, expected: Resources) -> None:
    job = compiled(PIPELINE.replace("needs: [convert]", f"needs: [convert]\n    resources: {asked}")).jobs[-1]
    assert job.resources == expected
    assert int(job.environment["OMP_NUM_THREADS"]) == max(1, expected.cpus // expected.processes)


def test_a_given_thread_count_stays() -> None:
    assert compiled(PIPELINE.replace("A: 1", "OMP_NUM_THREADS: 7")).jobs[0].environment["OMP_NUM_THREADS"] == "7"


def test_a_wrong_default_is_placed_where_it_was_written() -> None:
    expected = "x.yaml:3:39: defaults.strategy: expected one of ddp, fsdp, deepspeed, got 'dpp'; did you mean 'ddp'?"
    assert refusal(PIPELINE.replace("seed: 3", "strategy: dpp")).splitlines() == [expected]


def test_a_wrong_matrix_value_names_its_reference() -> None:
    message = refusal(PIPELINE.replace("args: {depth: 4}", "arg: {depth: 4}"))
    assert message == (
        "x.yaml:14:7: jobs.train.config.model: unknown key 'arg'; did you mean 'args'? (from arg of ${matrix.model})"
    )


def test_names_are_unique_and_short() -> None:
    clash = PIPELINE.replace("lr: [1e-3, 1e-4]", "lr: [a, a-b]").replace("{name: tiny,", "{name: b-c,")
    clash = clash.replace("{name: small,", "{name: c,")
    assert "two jobs would be called 'train-a-b-c'" in refusal(clash)
    assert "is longer than 63 characters" in refusal(PIPELINE.replace("name: tiny", f"name: {'x' * 60}"))


def test_order_is_the_files_where_needs_allow_it() -> None:
    text = "name: x\njobs:\n" + "".join(
        f"  {name}: {{task: convert, needs: [{needs}]}}\n"
        for name, needs in {"e": "b", "a": "", "b": "c", "d": "", "c": ""}.items()
    )
    assert [job.name for job in compiled(text).jobs] == ["a", "d", "c", "b", "e"]


def test_only_an_absolute_folder() -> None:
    with pytest.raises(ValueError, match="not an absolute path"):
        compile_pipeline(load(DIGITS), "run", Path("runs"))
