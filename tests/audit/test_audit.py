"""Known vulnerabilities are found without network, and what cannot be looked up is no success."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from audit import __main__ as audit
from audit.advisories import Advisories
from support.required import require


def archive(folder: Path, *advisories: dict[str, Any]) -> Path:
    with zipfile.ZipFile(folder / "osv.zip", "w") as files:
        for advisory in advisories:
            files.writestr(f"{advisory['id']}.json", json.dumps(advisory))
    return folder / "osv.zip"


def advisory(number: int, name: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    package = {"name": name, "ecosystem": "PyPI"}
    affected = {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": list(events)}], "versions": []}
    return {
        "id": f"TEST-{number}",
        "modified": "2026-01-01T00:00:00Z",
        "summary": "bad",
        "affected": [affected],
        **more,
    }


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.9", []),
        ("1.0", ["TEST-1"]),
        ("1.10", ["TEST-1"]),
        ("2.0", []),
        ("3.0rc1", []),
        ("3.1", ["TEST-2"]),
        ("3.2", []),
    ],
)
def test_an_advisory_is_about_the_versions_in_its_ranges(tmp_path: Path, version: str, expected: list[str]) -> None:
    found = Advisories.read(
        archive(
            tmp_path,
            advisory(1, "Some.Package", {"introduced": "1.0"}, {"fixed": "2.0"}),
            advisory(2, "some_package", {"introduced": "3.0"}, {"last_affected": "3.1"}),
            advisory(3, "some-package", {"introduced": "0"}, withdrawn="2026-01-02T00:00:00Z"),
            advisory(4, "other", {"introduced": "0"}),
        )
    )
    assert [each["id"] for each in found.about("some-package", version)] == expected


@pytest.mark.slow
def test_pip_audit_finds_what_the_file_says_of_the_locked_packages(tmp_path: Path, capfd: Any) -> None:
    require("" if audit.PIP_AUDIT.exists() else "no pip-audit: `make checks` installs it")
    assert audit.audit(archive(tmp_path, advisory(1, "nobody", {"introduced": "0"}))) == 0
    assert audit.audit(archive(tmp_path, advisory(1, "timm", {"introduced": "0"}))) == 1
    assert "TEST-1" in capfd.readouterr().out
