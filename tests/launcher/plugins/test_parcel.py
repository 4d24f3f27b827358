"""Plugins that travel with the plan: rendered, applied, unpacked in pods, and what cannot travel."""

import base64
import io
import os
import sys
import zipfile
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

from launcher.backends.kubernetes import config_maps, pod
from launcher.plan import Plan
from launcher.plugins import parcel, staged
from locat.contract.errors import ConfigError
from support.own_plugins import OWN, Folder

IMAGE = ("--set", "defaults.image=registry.example/locat:1", "--backend", "kubernetes")


def rendered(folder: Folder) -> Plan:
    """The plan as pods read it, of what `render` prints."""
    shown = folder.asks("render", *IMAGE)
    assert shown.exit_code == 0, shown.output
    maps = [each for each in yaml.safe_load_all(shown.stdout) if each["kind"] == "ConfigMap"]
    assert all(len(yaml.safe_dump(each)) < 1_000_000 for each in maps)
    return config_maps.from_data({key: text for each in maps for key, text in each["data"].items()})


def archive(name: str) -> tuple[str, ...]:
    """One that somebody else packed."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr(name, "x = 1\n")
    return (base64.b64encode(held.getvalue()).decode(),)


@pytest.fixture
def in_pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process of its own, as far as imports go."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", "/opt/locat")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_pods_find_a_plugin_that_this_machine_has(folder: Folder, in_pod: None) -> None:
    own = folder.write("own/__init__.py", OWN)
    data = folder.write("own/data/table.bin", "").parent / "table.bin"
    data.write_bytes(noise := os.urandom(1_000_000))  # more than one ConfigMap holds
    folder.pipeline("own")
    plan = rendered(folder)
    assert plan.plugins == (str(own.parent),)
    assert rendered(folder).parcel == plan.parcel, "the same files, the same text"

    staged.forget()
    before = {*sys.path}
    pod.take_plugins(plan, "locat:1")
    (place,) = {*sys.path} - before
    assert os.environ["PYTHONPATH"] == f"/opt/locat:{place}", "after what the image has"
    assert entry_points(group="locat.tasks")["count"].value == "own:Count"
    files = [path for path in Path(place).rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"__init__.py", "table.bin", "METADATA", "entry_points.txt"}
    assert not any(path.stat().st_mode & 0o222 for path in (Path(place), *Path(place).rglob("*")))
    assert (Path(place) / "own/data/table.bin").read_bytes() == noise
    for path in (Path(place), *Path(place).rglob("*")):
        path.chmod(0o755)  # so that pytest can delete them


def test_a_run_of_other_plugins_is_another_run(folder: Folder, tmp_path: Path) -> None:
    folder.write("own.py", OWN)
    folder.pipeline("own.py")
    plan = rendered(folder)
    pod.prepared(tmp_path / "runs" / plan.run_id, plan)
    with pytest.raises(ConfigError, match="is of another plan with the same run id"):
        pod.prepared(tmp_path / "runs" / plan.run_id, replace(plan, parcel=archive("own.py")))


def test_what_is_too_large_is_refused_with_the_largest_file(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("own/__init__.py", OWN)
    large = folder.write("own/weights.txt", "0" * 5000)
    folder.pipeline("own")
    for limit in ("MOST", "MOST_UNPACKED"):
        with monkeypatch.context() as patch:
            patch.setattr(parcel, limit, 1000)
            refused = folder.asks("submit", *IMAGE, "--dry-run")
        assert refused.exit_code == 2
        assert "own.yaml:2:1: plugins: 0.0 MB are too much" in refused.output
        assert f"the largest file is {large}: keep data out of plugins, or install them" in refused.output


@pytest.mark.parametrize("name", ["../out.py", "/tmp/out.py", "a/../../out.py", "a\\..\\out.py"])
def test_an_archive_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="the plan's plugins cannot be unpacked: no path of a plugin's file"):
        parcel.unpack(archive(name), tmp_path / "folder")
    assert [*tmp_path.rglob("*")] == [tmp_path / "folder"]


@pytest.mark.parametrize("lines", [("no base64",), ("bm8gemlw",), archive("a.py") * 2])
def test_what_is_no_archive_is_refused(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="the plan's plugins cannot be unpacked: "):
        parcel.unpack(lines, tmp_path)


def test_the_image_must_have_installed_packages_and_no_module_of_the_same_name(tmp_path: Path, in_pod: None) -> None:
    with pytest.raises(ConfigError, match=r"'nets\.more' is not installed in the image locat:1; install it there"):
        parcel.check_packages(("/own.py", "nets.more"), "locat:1")
    (tmp_path / "numpy.py").touch()
    with pytest.raises(ConfigError, match=r"numpy\.py would take the place of /.*/numpy of the image locat:1"):
        parcel.check_modules(tmp_path, "locat:1")
