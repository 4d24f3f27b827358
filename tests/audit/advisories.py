"""Advisories from a file, answered as OSV's server does: pip-audit asks for a package and a version at a time."""

import json
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from support.http_server import serving

Advisory = dict[str, Any]


@dataclass(frozen=True)
class Advisories:
    """Advisories by the packages that they are about."""

    by_name: Mapping[str, list[Advisory]]

    @classmethod
    def read(cls, archive: Path) -> "Advisories":
        """Those in a zip archive of OSV's JSON files."""
        found: dict[str, list[Advisory]] = defaultdict(list)
        with zipfile.ZipFile(archive) as files:
            for name in files.namelist():
                advisory = json.loads(files.read(name))
                for affected in _affected(advisory):
                    found[canonicalize_name(affected["package"]["name"])].append(advisory)
        return cls(found)

    def about(self, name: str, version: str) -> list[Advisory]:
        """Those that say that this version of a package is vulnerable."""
        name = canonicalize_name(name)
        return [
            advisory
            for advisory in self.by_name.get(name, [])
            if "withdrawn" not in advisory
            and any(
                canonicalize_name(each["package"]["name"]) == name and _holds(each, version)
                for each in _affected(advisory)
            )
        ]


def _affected(advisory: Advisory) -> list[dict[str, Any]]:
    return [each for each in advisory.get("affected", []) if each.get("package", {}).get("ecosystem") == "PyPI"]


def _holds(affected: dict[str, Any], version: str) -> bool:
    if version in affected.get("versions", []):
        return True
    ranges = [each["events"] for each in affected.get("ranges", []) if each["type"] == "ECOSYSTEM"]
    return any(_within(events, Version(version)) for events in ranges)


def _within(events: list[dict[str, str]], version: Version) -> bool:
    """Whether a version lies in a range, whose events are in the order of versions."""
    inside = False
    for event in events:
        ((kind, at),) = event.items()
        try:
            reached = at == "0" or version > Version(at) or (version == Version(at) and kind != "last_affected")
        except InvalidVersion:
            continue
        if reached and kind in ("introduced", "fixed", "last_affected"):
            inside = kind == "introduced"
    return inside


@contextmanager
def answering(advisories: Advisories) -> Iterator[str]:
    """The address of a server on this machine that answers queries."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = advisories.about(query["package"]["name"], query["version"])
            answer = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with serving(Handler) as address:
        yield f"{address}/v1/query"
