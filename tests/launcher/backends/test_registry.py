"""Backends of other packages: found by their entry points, and no trouble to others when they are broken."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from launcher.backends import BACKENDS, OPTIONS, UnknownBackendError
from launcher.cli import cli
from launcher.language import json_schema, reference_page
from launcher.language.load import load
from locat.contract.plugins import PluginError
from locat.contract.problems import PipelineError
from support import small_runs
from support.packages import install

PIPELINE = "name: small\njobs:\n  convert: {task: convert}\n"
MODULE = '''\
from launcher.backends.local.backend import LocalBackend
from launcher.language.words import BackendOptions


class Lab(LocalBackend):
    """As the local one."""


class LabOptions(BackendOptions):
    """Of the lab."""

    room: int = 1
    """Where."""

    def check_job(self, image):
        if self.room == 13:
            yield ("room",), "nobody works there; take another"


class Needing(BackendOptions):
    room: int
'''


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    for name in [name for name in sys.modules if name.startswith("lab")]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def called(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def test_a_package_adds_a_backend_with_options(site: Path, tmp_path: Path) -> None:
    install(
        site,
        "lab_one",
        {"locat.backends": "one = lab_one:Lab", "locat.backend_options": "one = lab_one:LabOptions"},
        MODULE,
    )
    assert [*BACKENDS] == ["local", "debug", "slurm", "kubernetes", "one"]
    file = tmp_path / "small.yaml"
    file.write_text(PIPELINE)
    dry = called("submit", str(file), "--dry-run", "--backend", "one", "--set", "defaults.options={one: {room: 2}}")
    assert dry.exit_code == 0, dry.output
    assert "--backend [local|debug|slurm|kubernetes|one]" in called("submit", "--help").output
    shell = ShellComplete(cli, {}, "launcher", "_LAUNCHER_COMPLETE")
    assert [each.value for each in shell.get_completions(["submit", "--backend"], "o")] == ["one"]


def test_its_options_are_checked_with_their_places(site: Path, tmp_path: Path) -> None:
    install(site, "lab_two", {"locat.backend_options": "two = lab_two:LabOptions"}, MODULE)
    file = tmp_path / "small.yaml"
    file.write_text(f"{PIPELINE}defaults: {{options: {{two: {{room: x, rom: 1}}, slurm: {{acount: y}}, tow: {{}}}}}}\n")
    with pytest.raises(PipelineError) as error:
        load(file)
    assert str(error.value).splitlines() == [
        f"{file}:4:28: defaults.options.two.room: expected an integer, got 'x'",
        f"{file}:4:37: defaults.options.two.rom: unknown key 'rom'; did you mean 'room'?",
        f"{file}:4:54: defaults.options.slurm.acount: unknown key 'acount'; did you mean 'account'?",
        f"{file}:4:66: defaults.options.tow: unknown key 'tow'; did you mean 'two'?",
    ]
    file.write_text(f"{PIPELINE}defaults: {{options: {{two: {{room: 13}}}}}}\n")
    refused = called("validate", str(file))
    assert refused.exit_code == 2
    assert refused.stderr == f"{file}:4:28: defaults.options.two.room: nobody works there; take another\n"


def test_documents_are_the_same_where_packages_are_installed(site: Path) -> None:
    before = json_schema.text(), reference_page.text()
    install(site, "lab_three", {"locat.backend_options": "three = lab_three:LabOptions"}, MODULE)
    assert (json_schema.text(), reference_page.text()) == before


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("def Lab(:\n", "SyntaxError: "),
        ("Other = 1\n", "AttributeError: module 'lab_bad' has no attribute 'Lab'"),
        ("class Lab: ...\n", "TypeError: not a subclass of launcher.backends.base.Backend"),
        (
            "from launcher.backends.base import Backend\nclass Lab(Backend): ...\n",
            "TypeError: Can't instantiate abstract",
        ),
    ],
)
def test_a_broken_one_is_named_and_harms_nobody_else(site: Path, tmp_path: Path, module: str, says: str) -> None:
    install(
        site, "lab_bad", {"locat.backends": "bad = lab_bad:Lab", "locat.backend_options": "bad = lab_bad:X"}, module
    )
    with pytest.raises(PluginError) as error:
        BACKENDS["bad"]
    begins = "package lab_bad: entry point bad = lab_bad:Lab (locat.backends) cannot be loaded: "
    assert str(error.value).startswith(begins + says)
    run = small_runs.make(tmp_path / "runs", small_runs.job("a"))
    file = tmp_path / "small.yaml"
    file.write_text(PIPELINE)
    for words in (["list"], ["status"], ["submit", str(file), "--dry-run"], ["list", "--help"]):
        assert small_runs.cli(run, *words).exit_code == 0, words
    refused = small_runs.cli(run, "submit", str(file), "--backend", "bad")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert refused.stderr.startswith(begins)
    refused = called("validate", str(file), "--set", "defaults.options={bad: {x: 1}}")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "package lab_bad: entry point bad = lab_bad:X (locat.backend_options)" in refused.stderr


def test_options_that_must_be_given_are_refused(site: Path) -> None:
    install(site, "lab_four", {"locat.backend_options": "four = lab_four:Needing"}, MODULE)
    with pytest.raises(PluginError, match="lab_four"):
        OPTIONS["four"]


def test_two_packages_of_one_name_are_refused(site: Path) -> None:
    for package in ("lab_five", "lab_six"):
        install(site, package, {"locat.backends": f"five = {package}:Lab"}, MODULE)
    with pytest.raises(PluginError, match=r"lab_five and lab_six both offer 'five'|lab_six and lab_five"):
        BACKENDS["five"]


def test_a_package_cannot_take_the_name_of_a_built_in_one(site: Path) -> None:
    install(site, "lab_seven", {"locat.backends": "local = lab_seven:Lab"}, MODULE)
    assert [*BACKENDS] == ["local", "debug", "slurm", "kubernetes"]
    assert type(BACKENDS["local"]).__module__ == "launcher.backends.local.backend"


def test_runs_of_a_backend_that_is_gone_are_listed(tmp_path: Path) -> None:
    gone = small_runs.make(tmp_path, small_runs.job("a"), name="gone-1", backend="lcal")
    small_runs.make(tmp_path, small_runs.job("a"), name="here-1")
    listed = small_runs.cli(gone, "list")
    assert listed.exit_code == 0
    assert "gone-1" in listed.stdout and "here-1" in listed.stdout
    said = "no backend 'lcal' on this machine; install the package that has it; did you mean 'local'?\n"
    assert listed.stderr == f"note: its runs are shown as last recorded: {said}"
    for words in (["status", "gone-1"], ["logs", "gone-1"], ["cancel", "gone-1"], ["retry", "gone-1"]):
        refused = small_runs.cli(gone, *words)
        assert (refused.exit_code, refused.stderr) == (2, said), words
    with pytest.raises(UnknownBackendError):
        BACKENDS["lcal"]


def test_other_packages_are_not_looked_for_where_built_in_names_do(tmp_path: Path) -> None:
    """It would take a tenth of a second."""
    (tmp_path / "small.yaml").write_text(PIPELINE)
    code = (
        "import sys, importlib.metadata as found\n"
        "ask = found.entry_points\n"
        "def refuse(group, **more): return ask(group=group) if group == 'pydantic' else sys.exit(group)\n"
        "found.entry_points = refuse\n"
        "from launcher.cli import cli\n"
        "cli(sys.argv[1:], standalone_mode=False)\n"
    )
    for words in (["list"], ["validate", "small.yaml"], ["submit", "small.yaml", "--dry-run", "--backend", "slurm"]):
        subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, check=True, capture_output=True)
