"""`plugins:` of a pipeline: what it names is found as though it were installed, or refused in one sentence."""

import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import launcher
from launcher.backends.slurm.batches import Batch
from launcher.backends.slurm.script import script
from launcher.language import json_schema, reference_page
from launcher.plan import Plan
from launcher.plugins import ask, use
from launcher.runs.create import create
from launcher.runs.folder import RunFolder
from launcher.snapshot.take import take
from support import small_runs
from support.documents import ROOT
from support.own_plugins import OWN, PIPELINE, Folder

MODEL = '[project.entry-points."locat.models"]\nown_net = "nets:own_net"\n'
TASK = "from locat.config import JobConfig\nfrom typing import ClassVar, Literal\n"


def test_a_file_brings_a_task_and_a_model(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    own = folder.write("own.py", OWN)
    folder.pipeline("own.py")
    valid = folder.asks("validate")
    assert valid.stdout == f"{folder.path}/own.yaml: valid, 1 jobs\n"
    assert valid.stderr == f"note: {own} is imported here and in jobs; it brings task count, model own_tiny\n"

    asked: list[Path] = []
    monkeypatch.setattr(ask, "_asked", lambda stage, plugin, others: asked.append(stage) or {"error": "asked"})
    wrong = folder.asks("validate", "--set", "jobs.count.config.upto=none")
    assert "jobs.count.config.upto: expected a positive integer, got 'none'" in wrong.stderr
    assert not asked, "the answer is kept"
    own.write_text(OWN.replace("= 3", "= 4"))
    assert "asked" in folder.asks("validate").stderr, "until the file changes"

    monkeypatch.setattr(ask, "_asked", lambda stage, plugin, others: {"offers": {}, "loads_torch": False})
    monkeypatch.setattr(ask, "MOST_KEPT", 1)
    folder.asks("validate")
    assert len(list((folder.path.parent / "cache/locat/plugins").iterdir())) == 1, "the newest"


def test_a_folder_with_entry_points_needs_no_installation(folder: Folder) -> None:
    folder.write("mine/pyproject.toml", (ROOT / "examples/own_task/pyproject.toml").read_text())
    for file in (ROOT / "examples/own_task/rotations").glob("*.py"):
        folder.write(f"mine/src/rotations/{file.name}", file.read_text())
    pipeline = (ROOT / "examples/own_task/rotations.yaml").read_text()
    folder.write("own.yaml", pipeline.replace("plugins: [.]", "plugins: [mine]"))
    assert "task rotations" in folder.asks("validate").stderr
    wrong = folder.asks("validate", "--set", "jobs.pretrain.task=rotation")
    assert "did you mean 'rotations'?" in wrong.stderr


def test_a_file_that_imports_torch_brings_models(folder: Folder) -> None:
    folder.write("nets.py", "from timm.models import register_model\n\n@register_model\ndef own_net(**args): ...\n")
    folder.write("more.py", "import nets\n\n@nets.register_model\ndef more_net(**args): ...\n")
    folder.write("own.yaml", "name: own\nplugins: [nets.py, more.py]\njobs:\n  convert: {task: convert}\n")
    valid = folder.asks("validate")
    assert valid.stderr.splitlines() == [
        f"note: {folder.path}/{file}.py is imported here and in jobs; it brings model {name}"
        for file, name in (("nets", "own_net"), ("more", "more_net"))
    ]
    assert "nets" not in sys.modules, "nor is torch imported here"


def test_the_schema_and_the_reference_have_it(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.write("own.py", OWN).parent)
    assert use.installed(["--installed", "own.py"])
    assert json_schema.schema(installed=True)["$defs"]["Count"]["properties"]["upto"]
    assert "## count\n" in reference_page.text(installed=True)
    with pytest.raises(SystemExit, match=r"'gone\.py': no such file or folder"):
        use.installed(["--installed", "gone.py"])


def test_a_later_pipeline_knows_nothing_of_it(folder: Folder) -> None:
    folder.write("own.py", OWN)
    folder.pipeline("own.py")
    assert folder.asks("validate").exit_code == 0
    folder.write("own.yaml", "name: other\njobs:\n  count: {task: count}\n")
    assert "jobs.count.task: expected one of" in folder.asks("validate").stderr
    # One that is gone may be there: a test that puts sys.path back brings it back too.
    assert "own" not in sys.modules
    assert not [path for path in sys.path if "locat-plugins" in path and Path(path).exists()]


def test_a_path_is_from_the_file_that_names_it(folder: Folder) -> None:
    folder.write("own.py", OWN)
    folder.pipeline("own.py")
    folder.write("below/own.yaml", "name: below\ninclude: ../own.yaml\njobs: {}\n")
    assert Folder(folder.path / "below").asks("validate").exit_code == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.py", "'gone.py': no such file or folder"),
        ("no_such_package", "'no_such_package': no such file or folder"),
        (f"{'a' * 300}.py", "'a*.py': cannot be looked at: File name too long"),
        ("notes.txt", "'notes.txt': no plugin; give a .py file or a folder"),
        ("torch.py", "would take the place of /.*/torch, which is imported as 'torch'; rename it"),
        ("locat.py", "would take the place of LocAt's own, .*; rename it"),
        ("json.py", "would take the place of Python's own, .*; rename it"),
        ("own-task.py", "no module is called 'own-task'"),
        ("linked.py", "is a link to .*/torch.py, which has another name; name that one"),
        ("empty", "a folder must have __init__.py, or a pyproject.toml with entry points"),
        ("broken", "broken/pyproject.toml: cannot be read: "),
        ("lost", "there is no module 'nets' in .*/lost, which it names"),
        ("wrong", r"entry point 'a' of locat.tasks: expected module:object, got \['b'\]"),
    ],
)
def test_what_is_no_plugin_is_refused_unread(folder: Folder, name: str, said: str) -> None:
    for other in ("notes.txt", "torch.py", "locat.py", "json.py", "own-task.py", "empty/a.py"):
        folder.write(other, "raise SystemExit('nothing is imported')\n")
    (folder.path / "linked.py").symlink_to(folder.path / "torch.py")
    folder.write("broken/pyproject.toml", "[project\n")
    folder.write("lost/pyproject.toml", MODEL)
    folder.write("wrong/pyproject.toml", '[project.entry-points."locat.tasks"]\na = ["b"]\n')
    assert re.search(said, folder.is_refused(name))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\ny = x / 0\n", "{file}: cannot be imported: {file}, line 2: ZeroDivisionError: division by zero"),
        ("\ndef f(:\n", "{file}: cannot be imported: {file}, line 2: SyntaxError: invalid syntax"),
        ("import os; print('noise'); os._exit(3)", "{file}: ended Python while it was imported (exit code 3)"),
        (
            "import helping",
            "{file}: cannot be imported: {file}, line 1: ModuleNotFoundError: No module named 'helping';"
            " name {folder}/helping.py under `plugins` too",
        ),
        (
            f"{TASK}import sys; sys.modules['torch'] = sys\n"
            "class A(JobConfig):\n    entry: ClassVar[str] = 'own:a'\n    task: Literal['a']\n",
            "{file}: imports torch, and has the config of 'a', which the launcher reads without; import torch within"
            " the functions that use it, or keep the config in a file of its own",
        ),
        (
            f"{TASK}class A(JobConfig):\n    entry: ClassVar[str] = 'own:a'\n    task: Literal['knn']\n",
            "{file}: brings the task 'knn', as LocAt itself does; take one of them out",
        ),
    ],
    ids=["raises", "syntax", "exits", "neighbour", "torch", "name of ours"],
)
def test_what_cannot_be_imported_is_refused(folder: Folder, code: str, said: str) -> None:
    file = folder.write("own.py", code)
    folder.write("helping.py", "")
    assert folder.is_refused("own.py") == said.format(file=file, folder=folder.path)


def test_what_hangs_is_ended(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "TIMEOUT", 0.5)
    folder.write("own.py", "import time\ntime.sleep(600)\n")
    assert "was still being imported after 0.5 s" in folder.is_refused("own.py")


def test_two_of_one_name_are_refused(folder: Folder) -> None:
    for name, module in (("a", "nets"), ("b", "more"), ("c", "nets")):
        folder.write(f"{name}/pyproject.toml", MODEL.replace("nets", module))
        folder.write(f"{name}/{module}.py", "")
    pipeline = "name: own\nplugins: [a, {}]\njobs:\n  convert: {{task: convert}}\n"
    folder.write("own.yaml", pipeline.format("b"))
    same = (
        f"2:14: plugins.1: {folder.path}/b: brings the model 'own_net', as {folder.path}/a does; take one of them out"
    )
    assert same in folder.asks("validate").stderr
    folder.write("own.yaml", pipeline.format("c"))
    assert f"{folder.path}/c: {folder.path}/a has a module 'nets' as well" in folder.asks("validate").stderr


def test_without_plugins_nothing_is_imported_and_the_rest_is_checked(folder: Folder) -> None:
    mark = folder.path / "imported"
    folder.write("own.py", f"open({str(mark)!r}, 'w')")
    folder.write(
        "own.yaml",
        """
name: own
plugins: [own.py]
jobs:
  count: {task: count, strategy: ddp, resources: {processes: 2}, config: {upto: none}}
  convert: {task: convert, needs: [count], config: {dataset: {name: shapes, from: "${jobs.count.outputs.any}"}}}
""",
    )
    valid = folder.asks("validate", "--no-plugins")
    assert (valid.exit_code, valid.stdout) == (0, f"{folder.path}/own.yaml: valid, 2 jobs\n")
    assert valid.stderr == "note: own.py (plugins.0) is not imported, and what it may bring is not checked\n"
    wrong = folder.asks("validate", "--no-plugins", "--set", "jobs.convert.config.workers=0")
    assert "jobs.convert.config.workers: expected a positive integer" in wrong.stderr
    assert not mark.exists()


def test_each_of_several_pipelines_has_its_own(folder: Folder) -> None:
    """One and the same name may then be two tasks, and what one pipeline brings the other does not know."""
    folder.write("own.py", OWN)
    folder.write("more.py", OWN.replace("own:", "more:").replace("upto", "until"))
    folder.pipeline("own.py")
    more = folder.write("more.yaml", PIPELINE.format(plugin="more.py").replace("upto", "until"))
    both = folder.asks("submit", str(more), "--dry-run")
    assert both.exit_code == 0, both.output
    assert both.stderr.count("it brings task count") == 2
    folder.write("more.yaml", "name: other\njobs:\n  count: {task: count}\n")
    refused = folder.asks("validate", str(more)).stderr
    assert f"{more}:3:" in refused and "jobs.count.task: expected one of" in refused


CONTAINER = """#!/bin/sh
# Stands for `apptainer exec --bind A,B IMAGE`: of the variables the image's own win, as do its modules.
shift 4
export PYTHONPATH={project}
exec "$@"
"""
IN_CONTAINER = """
import os, sys
from pathlib import Path
import locat.__main__
from locat.config import TASKS
locat.__main__.dispatch = lambda config: print(TASKS["count"].__module__, locat.__file__)
locat.__main__.run(Path("config.yaml"))
"""


def test_jobs_in_containers_of_slurm_find_the_copy_of_a_plugin(folder: Folder) -> None:
    own, runs = folder.write("own.py", OWN), folder.path / "runs"
    use.of_run("own", [str(own)])
    job = replace(small_runs.job("a", IN_CONTAINER), image="/images/locat.sif")
    job.options["slurm"] = {"container": {"engine": "apptainer"}}
    plan = Plan("own", "own", "", runs / "own", "sqlite:////tmp/x", "own", (job,), "slurm", plugins=(str(own),))
    run = create(plan, "name: own\n", runs, code=take(runs, (), "submit"))
    folder.write("bin/apptainer", CONTAINER.format(project=ROOT)).chmod(0o755)
    own.unlink()
    text = script(plan, Batch("a", "a", (job,), ()))
    assert f"-- apptainer exec --bind {shlex.quote(f'{runs}:{runs}')} /images/locat.sif" in text
    path = f"{folder.path / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(["bash"], input=text, text=True, env={**os.environ, "PATH": path, "LOCAT_PLUGINS": "/tmp"})
    log = (run.job("a").attempt(1) / "launch.log").read_text()
    assert (done.returncode, log) == (0, f"own {ROOT}/locat/__init__.py\n"), "LocAt is the image's"


def test_a_plan_says_which_plugins_it_has_and_else_nothing(folder: Folder) -> None:
    plan = Plan("own", "own", "", folder.path, "sqlite:////tmp/x", "own", (small_runs.job("a"),), plugins=("/own.py",))
    assert Plan.from_json(plan.to_json()) == plan
    without = Plan("own", "own", "", folder.path, "sqlite:////tmp/x", "own", (small_runs.job("a"),))
    assert '"plugins"' not in without.to_json() and Plan.from_json(without.to_json()) == without


def test_the_copy_of_the_code_has_plugins_as_though_installed(folder: Folder) -> None:
    own = folder.write("own.py", OWN)
    folder.write("beside.py", "")
    use.of_run("own", [str(own)])
    code = take(folder.path / "runs", (), "submit")
    copy = Path(code.source.folder)
    assert sorted(path.name for path in copy.iterdir()) == ["launcher", "locat", "own.plugin0-0.dist-info", "own.py"]
    assert "count = own:Count" in (copy / "own.plugin0-0.dist-info/entry_points.txt").read_text()
    assert (copy / "own.py").read_text() == OWN and not (copy / "own.py").is_symlink()
    assert [origin.modules for origin in code.source.origins] == [("launcher", "locat"), ("own.py",)]


def test_todays_plugins_are_taken_when_that_is_asked_for(folder: Folder) -> None:
    own = folder.write("own.py", OWN)
    use.of_run("own", [str(own)])
    runs = folder.path / "runs"
    plan = Plan("own", "own", "", runs / "own", "sqlite:////tmp/x", "own", (small_runs.job("a"),), plugins=(str(own),))
    run = create(plan, "name: own\n", runs, code=take(runs, (), "submit"))
    own.unlink()
    refused = small_runs.cli(run, "retry", "own", "--code", "now")
    assert refused.exit_code == 2
    assert f"own: plugins: '{own}': no such file or folder" in refused.output
    own.write_text(OWN + "# edited\n")
    assert "today's code" in small_runs.cli(run, "retry", "own", "--code", "now").output
    copy = run.code_folder()
    assert copy is not None and (copy / "own.py").read_text().endswith("# edited\n")
    small_runs.until(lambda: not run.is_supervised())


def test_threads_that_submit_do_not_take_one_anothers(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.backends.local.backend.LocalBackend.start", lambda *_: "")

    def submitted(name: str) -> list[str]:
        own = folder.write(f"{name}.py", OWN.replace("own:", f"{name}:"))
        pipeline = {"name": name, "plugins": [str(own)], "jobs": {"count": {"task": "count"}}}
        copy = RunFolder(launcher.submit(pipeline, runs=folder.path / "runs").path).code_folder()
        assert copy
        return sorted(path.name for path in copy.glob("*.py"))

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(submitted, "abc")) == [["a.py"], ["b.py"], ["c.py"]]
