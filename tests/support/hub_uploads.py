"""What a hub of models on this machine does with what is sent: the Hub's API as huggingface_hub uploads by it."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import yaml

LICENCES = ("apache-2.0", "mit", "cc-by-4.0", "other")
LARGE = ".safetensors"
"""Ends the names of what is sent apart from its commit."""


@dataclass
class Uploads:
    """Repositories by OWNER/NAME, and how the Hub misbehaves."""

    commits: dict[str, list[str]] = field(default_factory=dict)
    """Messages; a repository begins with none."""
    private: set[str] = field(default_factory=set)
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files by their SHA-256, committed or not."""
    received: list[str] = field(default_factory=list)
    """The SHA-256 of each large file that arrived whole, in order."""
    cut: int = 0
    """Large files whose second half is still to be lost, of those with more than `larger` bytes."""
    larger: int = 0
    refuses: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Part of a path -> status and message that are answered to it."""

    def head(self, repository: str) -> str:
        """The newest commit."""
        count = len(self.commits.get(repository, []))
        return hashlib.sha1(f"{repository} {count}".encode()).hexdigest() if count else "1" * 40


Answer = tuple[int, Any]
"""Status, and what is said as JSON."""


def answer(uploads: Uploads, files: dict[str, bytes], url: str, method: str, path: str, body: bytes) -> Answer | None:
    """What is answered to a request; None to one that does not belong to an upload."""
    parts = urlsplit(path).path.strip("/").split("/")
    for part, (status, message) in uploads.refuses.items():
        if part in path:
            return status, {"error": message}
    match method, *parts:
        case "POST", "api", "validate-yaml":
            return _card(json.loads(body)["content"])
        case "POST", "api", "repos", "create":
            return _create(uploads, url, json.loads(body))
        case "PUT", "lfs", oid:
            if hashlib.sha256(body).hexdigest() != oid:
                return 400, {"error": "other bytes"}
            uploads.objects[oid] = body
            uploads.received.append(oid)
            return 200, {}
        case "POST", "lfs", "verify", oid:
            return (200, {}) if len(uploads.objects.get(oid, b"")) == json.loads(body)["size"] else (404, {})
        case "POST", _, name, "info", "lfs", "objects", "batch" if name.endswith(".git"):
            return 200, {"objects": [_batch(uploads, url, each) for each in json.loads(body)["objects"]]}
        case _, "api", "models", owner, name, *rest:
            repository = f"{owner}/{name}"
            if repository not in uploads.commits:
                return 404, {"error": "Repository not found"}
            return _of_repository(uploads, files, repository, rest, body)
    return None


def _of_repository(
    uploads: Uploads, files: dict[str, bytes], repository: str, rest: list[str], body: bytes
) -> Answer | None:
    there = {path.removeprefix(f"{repository}/"): each for path, each in files.items() if path.startswith(repository)}
    match rest:
        case [] | ["revision", "main"]:
            told = {"id": repository, "sha": uploads.head(repository), "private": repository in uploads.private}
            return 200, told | {"siblings": [{"rfilename": name} for name in there]}
        case "preupload", "main":
            asked = [each["path"] for each in json.loads(body)["files"]]
            return 200, {"files": [_mode(name, there.get(name)) for name in asked]}
        case "commit", "main":
            return _commit(uploads, files, repository, [json.loads(line) for line in body.splitlines()])
    return None


def _card(text: str) -> Answer:
    front = yaml.safe_load(text.split("---\n")[1])
    if front["license"] in LICENCES:
        return 200, {"errors": [], "warnings": []}
    return 400, {"errors": [{"message": f'"license" must be one of [{", ".join(LICENCES)}]'}]}


def _create(uploads: Uploads, url: str, asked: dict[str, Any]) -> Answer:
    repository = f"{asked['organization']}/{asked['name']}"
    if repository in uploads.commits:
        return 409, {"error": "You already created this model repo", "url": f"{url}/{repository}"}
    uploads.commits[repository] = []
    if asked.get("private") or asked.get("visibility") == "private":
        uploads.private.add(repository)
    return 200, {"url": f"{url}/{repository}"}


def _batch(uploads: Uploads, url: str, asked: dict[str, Any]) -> dict[str, Any]:
    oid = asked["oid"]
    if oid in uploads.objects:
        return asked
    actions = {"upload": {"href": f"{url}/lfs/{oid}?signature=secret"}, "verify": {"href": f"{url}/lfs/verify/{oid}"}}
    return asked | {"actions": actions}


def _mode(name: str, content: bytes | None) -> dict[str, Any]:
    is_large = name.endswith(LARGE)
    told: dict[str, Any] = {"path": name, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}
    if content is None:
        return told
    blob = f"blob {len(content)}\0".encode() + content
    return told | {"oid": hashlib.sha256(content).hexdigest() if is_large else hashlib.sha1(blob).hexdigest()}


def _commit(uploads: Uploads, files: dict[str, bytes], repository: str, lines: list[dict[str, Any]]) -> Answer:
    header = lines[0]["value"]
    if header["parentCommit"] != uploads.head(repository):
        return 412, {"error": "A commit has happened since. Please refresh and try again."}
    for line in lines[1:]:
        path = f"{repository}/{line['value']['path']}"
        match line["key"]:
            case "file":
                files[path] = base64.b64decode(line["value"]["content"])
            case "lfsFile":
                files[path] = uploads.objects[line["value"]["oid"]]
            case "deletedFile":
                del files[path]
    uploads.commits[repository].append(header["summary"])
    oid = uploads.head(repository)
    return 200, {"commitUrl": f"/{repository}/commit/{oid}", "commitOid": oid, "success": True}
