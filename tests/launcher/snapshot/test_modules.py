"""Which modules are copied: the project's, and those of plugins that somebody may edit."""

from pathlib import Path

import pytest

from launcher import interpreter
from launcher.snapshot import modules

OURS = [interpreter.HOME / "launcher", interpreter.HOME / "locat"]


def install(folder: Path, name: str, entry_points: str = "") -> None:
    """What an installer leaves of a package in a folder of the path."""
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir(parents=True)
    if entry_points:
        (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the path that an installer writes to, with three packages: only one of them is for us."""
    folder = tmp_path / "site-packages"
    install(folder, "heads", "[console_scripts]\nheads = heads.cli:main\n\n[locat.heads]\nmine = heads.mine:Mine\n")
    install(folder, "other", "[console_scripts]\nother = other:main\n")
    install(folder, "plain")
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_packages_and_those_that_bring_something_are_found(site: Path) -> None:
    found = modules.installed()
    assert {name: found.versions.get(name) for name in ("heads", "other", "plain")} == dict.fromkeys(
        ("heads", "other", "plain"), "1.2"
    )
    assert "heads" in found.plugins and not {"other", "plain"} & {*found.plugins}
    assert found.versions["click"] and found.versions["torch"]


def test_a_plugin_that_lies_in_a_checkout_is_copied(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "my checkout" / "heads"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('nothing is imported to find it')")
    monkeypatch.syspath_prepend(str(package.parent))
    assert modules.editable(("heads",)) == [*OURS, package]


def test_a_plugin_of_one_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one_file.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert modules.editable(("one_file",)) == [*OURS, tmp_path / "one_file.py"]


@pytest.mark.parametrize("name", ["click", "json", "sys", "gone", "ga ps"])
def test_what_an_installer_owns_is_not_copied(name: str) -> None:
    assert modules.editable((name,)) == OURS
