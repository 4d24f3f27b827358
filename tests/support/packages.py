"""Packages that bring a task or a dataset, installed for a test: a module and what pip notes beside it."""

from pathlib import Path


def install(folder: Path, package: str, group: str, entry: str, module: str = "") -> None:
    """Put the package `package` into `folder`, with the entry point `entry` (`name = module:class`) in `group`."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
    if module:
        (folder / f"{package}.py").write_text(module)
