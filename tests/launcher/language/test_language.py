"""What a pipeline can say beyond tasks and needs: units, options, include, exclude, secrets, other files."""

import json
import time
from pathlib import Path
from typing import Literal

import pytest
from click.testing import CliRunner

from launcher.backends import BACKENDS
from launcher.backends.containers import engine_image
from launcher.cli import cli
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load, validate
from launcher.plan import Plan, Resources, Volume
from launcher.runs.find import list_runs
from launcher.runs.folder import RunFolder
from locat.contract.errors import UserError
from locat.contract.problems import PipelineError
from locat.contract.yaml_source import parse
from support import small_runs

CONVERT = "name: small\njobs:\n  convert:\n    task: convert\n"


def compiled(text: str) -> Plan:
    return compile_pipeline(validate(parse(text, "x.yaml")), "run-1", Path("/runs"))


def names(matrix: str) -> list[str]:
    return [job.name for job in compiled(f"{CONVERT}    matrix: {matrix}\n").jobs]


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ("{a: [x, y], b: [1, 2], exclude: [{a: x, b: 2}]}", ["x-1", "y-1", "y-2"]),
        ("{a: [x, y], b: [1, 2], exclude: [{a: x}]}", ["y-1", "y-2"]),
        ("{a: [x], b: [1], include: [{b: 7, a: z}]}", ["x-1", "z-7"]),
        ("{a: [{name: x, lr: 1}, y], exclude: [{a: x}]}", ["y"]),
        ("{a: [x], exclude: [{a: x}], include: [{a: z}]}", ["z"]),
        ("{include: [{a: x, b: 1}, {b: 2, a: y}]}", ["x-1", "y-2"]),
    ],
)
def test_a_matrix_without_some_and_with_others(matrix: str, expected: list[str]) -> None:
    assert names(matrix) == [f"convert-{name}" for name in expected]


def test_units_are_those_of_the_plan() -> None:
    plan = compiled(
        f"{CONVERT}    resources: {{memory: 2G, time: 3h}}\ndefaults: {{resources: {{time: 1d, cpus: 4}}}}\n"
    )
    assert plan.jobs[0].resources == Resources(cpus=4, memory=2048, time=180)


def test_options_of_a_job_are_put_over_the_defaults() -> None:
    defaults = "defaults: {options: {slurm: {partition: a, account: b}}}\n"
    plan = compiled(f"{CONVERT}    options: {{slurm: {{partition: c}}}}\n{defaults}")
    assert plan.jobs[0].options == {"slurm": {"partition": "c", "account": "b"}}


def test_a_file_is_put_over_those_it_includes(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/lowest.yaml").write_text("defaults: {retries: 1, env: {A: 1, B: 1}}\n")
    (tmp_path / "base/base.yaml").write_text("include: lowest.yaml\nname: base\ndefaults: {env: {B: 2, C: 2}}\n")
    top = tmp_path / "top.yaml"
    top.write_text(f"include: [base/base.yaml]\ndefaults: {{env: {{C: 3}}}}\n{CONVERT}")
    plan = compile_pipeline(load(top, ["defaults.env.A=9"]), "run-1", Path("/runs"))
    assert (plan.pipeline, plan.jobs[0].retries) == ("small", 1)
    assert plan.jobs[0].environment == {"OMP_NUM_THREADS": "1", "A": "9", "B": "2", "C": "3"}


def test_files_that_include_one_another_in_any_number_are_refused_at_once(tmp_path: Path) -> None:
    """Twelve times each, eight deep: 430 million reads."""
    (tmp_path / "0.yaml").write_text("defaults: {retries: 1}\n")
    for depth in range(1, 8):
        (tmp_path / f"{depth}.yaml").write_text(f"include: [{', '.join([f'{depth - 1}.yaml'] * 12)}]\n")
    (tmp_path / "top.yaml").write_text(f"include: [7.yaml]\n{CONVERT}")
    began = time.monotonic()
    with pytest.raises(PipelineError, match=r"\.yaml:1:.*more than 100 files are included; name each of them once"):
        load(tmp_path / "top.yaml")
    assert time.monotonic() - began < 10


def test_a_variable_of_any_length_is_looked_through_at_once() -> None:
    began = time.monotonic()
    compiled(f"{CONVERT}    env: {{A: '://{':' * 50_000}'}}\n")
    assert time.monotonic() - began < 10


def test_a_problem_is_placed_in_the_file_it_was_written_in(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("defaults:\n  retires: 1\n")
    (tmp_path / "top.yaml").write_text(f"include: base.yaml\n{CONVERT}    ned: [x]\n")
    with pytest.raises(PipelineError) as error:
        load(tmp_path / "top.yaml")
    lines = str(error.value).splitlines()
    assert lines[0] == f"{tmp_path}/base.yaml:2:3: defaults.retires: unknown key 'retires'; did you mean 'retries'?"
    assert lines[1].startswith(f"{tmp_path}/top.yaml:6:5: jobs.convert.ned: unknown key")


def test_what_an_including_file_asked_stays_with_the_run(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("defaults: {retries: 1}\n")
    (tmp_path / "top.yaml").write_text(f"include: base.yaml\n{CONVERT}")
    run = submitted(tmp_path, "top.yaml")[0]
    (tmp_path / "base.yaml").unlink()
    assert load(run.pipeline).defaults.retries == 1
    small_runs.cli(run, "cancel", run.name)


def submitted(folder: Path, *files: str) -> list[RunFolder]:
    """The runs that `submit` makes of the files, oldest first."""
    paths = [str(folder / file) for file in files]
    answer = CliRunner().invoke(cli, ["submit", *paths, "--runs-dir", str(folder / "runs")])
    assert answer.exit_code == 0, answer.output
    return list_runs(folder / "runs")[::-1]


def test_several_pipelines_are_a_run_each_or_none(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CONVERT.replace("small", "first"))
    (tmp_path / "b.yaml").write_text(CONVERT.replace("small", "second"))
    (tmp_path / "bad.yaml").write_text(CONVERT.replace("convert\n", "covnert\n"))
    files = [str(tmp_path / name) for name in ("a.yaml", "bad.yaml")]
    refused = CliRunner().invoke(cli, ["submit", *files, "--runs-dir", str(tmp_path / "runs")])
    assert refused.exit_code == 2 and "did you mean 'convert'" in refused.output
    assert not (tmp_path / "runs").exists()
    made = submitted(tmp_path, "a.yaml", "b.yaml")
    assert [run.plan().pipeline for run in made] == ["first", "second"]
    for run in made:
        small_runs.cli(run, "cancel", run.name)


def test_secrets_are_in_the_shell_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text("secrets: [HF_TOKEN]\n" + CONVERT)
    command = ["submit", str(tmp_path / "a.yaml"), "--runs-dir", str(tmp_path / "runs")]
    monkeypatch.delenv("HF_TOKEN", raising=False)
    missing = CliRunner().invoke(cli, command)
    assert missing.exit_code == 2 and "not set in this shell: HF_TOKEN" in missing.output
    monkeypatch.setenv("HF_TOKEN", "hf_12345")
    written = CliRunner().invoke(cli, [*command, "--set", "description='the token is hf_12345'"])
    assert written.exit_code == 2 and "hf_12345" not in written.output
    assert not (tmp_path / "runs").exists()
    (run,) = submitted(tmp_path, "a.yaml")
    assert json.loads((run.path / "plan.json").read_text())["secrets"] == ["HF_TOKEN"]
    small_runs.cli(run, "cancel", run.name)
    texts = [path.read_text(errors="replace") for path in run.path.rglob("*") if path.is_file()]
    assert not any("hf_12345" in text for text in texts)


IMAGE = "registry.example/lab/locat:1.0"
STORED = f"""
name: small
defaults:
  image: {IMAGE}
  storage: {{/datasets: {{path: /nfs/datasets, claim: datasets, read_only: true}}}}
jobs:
  a: {{task: convert}}
  b: {{task: convert, image: /images/b.sif, storage: {{/scratch: {{}}}}}}
"""


def test_image_and_storage_of_a_job_are_put_over_the_defaults() -> None:
    datasets = Volume("/datasets", "/nfs/datasets", "datasets", read_only=True)
    first, second = compiled(STORED).jobs
    assert (first.image, first.storage) == (IMAGE, (datasets,))
    assert (second.image, second.storage) == ("/images/b.sif", (datasets, Volume("/scratch", "/scratch")))
    assert Plan.from_json(compiled(STORED).to_json()) == compiled(STORED)


def slurm_script(container: str, image: str = IMAGE) -> str:
    options = f"options: {{slurm: {{container: {container}}}}}"
    return BACKENDS["slurm"].render(compiled(STORED.replace("defaults:", f"defaults:\n  {options}", 1)))


def test_slurm_names_the_image_as_its_engine_does_and_mounts_the_storage() -> None:
    apptainer, pyxis = slurm_script("{engine: apptainer}"), slurm_script("{engine: pyxis}")
    mounts = "/runs:/runs,/nfs/datasets:/datasets:ro"
    assert f"apptainer exec --bind {mounts} docker://{IMAGE}\n" in apptainer
    assert f"apptainer exec --bind {mounts},/scratch:/scratch /images/b.sif\n" in apptainer
    assert f"--container-image=registry.example#lab/locat:1.0 --container-mounts={mounts}\n" in pyxis.replace("'", "")
    assert " docker://other\n" in slurm_script("{engine: apptainer, image: docker://other}")


@pytest.mark.parametrize(
    ("engine", "image", "expected"),
    [
        ("pyxis", "library/locat", "library/locat"),
        ("pyxis", "localhost/x", "localhost#x"),
        ("pyxis", "locat:1", "locat:1"),
    ],
)
def test_what_an_engine_calls_an_image(engine: Literal["pyxis"], image: str, expected: str) -> None:
    assert engine_image(engine, image) == expected


@pytest.mark.parametrize("backend", ["local", "slurm"])
def test_what_a_backend_cannot_honour_is_refused_or_noted(backend: str, tmp_path: Path) -> None:
    plan = compiled(STORED)
    assert [IMAGE in note for note in BACKENDS[backend].notes(plan)] == [False, True]
    with pytest.raises(UserError, match=r"job a: storage /datasets is the folder /nfs/datasets; .* mount"):
        BACKENDS[backend].check(plan)


def test_the_local_backend_takes_storage_that_is_there(tmp_path: Path) -> None:
    BACKENDS["local"].check(compiled(f"{CONVERT}    storage: {{{tmp_path}: {{claim: data}}}}\n"))
    with pytest.raises(UserError, match=f"storage {tmp_path}/missing is not a folder of this machine"):
        BACKENDS["local"].check(compiled(f"{CONVERT}    storage: {{{tmp_path}/missing: {{}}}}\n"))


def test_a_container_needs_an_image() -> None:
    with pytest.raises(PipelineError, match="a container without an image"):
        compiled(f"{CONVERT}    options: {{slurm: {{container: {{engine: pyxis}}}}}}\n")
