"""Packages that bring something of their own, installed for a test: a module and what pip notes beside it."""

from pathlib import Path


def install(folder: Path, package: str, entries: dict[str, str], module: str = "") -> None:
    """Put a package into `folder`; `entries` has an entry point (`name = module:class`) for each of its groups."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{entry}\n" for group, entry in entries.items()))
    if module:
        (folder / f"{package}.py").write_text(module)
