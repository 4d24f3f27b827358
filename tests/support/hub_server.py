"""A hub of models on this machine, which speaks as much of the Hub's API as a download needs."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from support.http_server import serving

COMMIT = "1" * 40


@dataclass
class Hub:
    """What it holds, how it misbehaves, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """OWNER/NAME/FILE -> content. What is called model.safetensors lies elsewhere, as large files do."""
    token: str = ""
    """Without which every repository is refused; empty for none."""
    cut: int = 0
    """Downloads whose second half is still to be lost."""
    status: int = 0
    """Answered to everything, if not 0."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and token of each request."""


@contextmanager
def hub_server() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            token = self.headers.get("authorization", "").removeprefix("Bearer ")
            hub.asked.append((self.command, self.path, token))
            owner, name, *rest = self.path.strip("/").split("/")
            if hub.status:
                self.say(hub.status)
            elif owner == "elsewhere":
                self.content(hub.files[bytes.fromhex(name).decode()])
            elif hub.token and token != hub.token:
                self.say(401, {"X-Error-Code": "RepoNotFound"})
            elif not any(path.startswith(f"{owner}/{name}/") for path in hub.files):
                self.say(404, {"X-Error-Code": "RepoNotFound"})
            elif rest[1] not in ("main", COMMIT):
                self.say(404, {"X-Error-Code": "RevisionNotFound"})
            elif (path := f"{owner}/{name}/{rest[2]}") not in hub.files:
                self.say(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            elif path.endswith("model.safetensors"):
                content = hub.files[path]
                about = {"X-Repo-Commit": COMMIT, "X-Linked-Etag": etag(content), "X-Linked-Size": str(len(content))}
                self.say(302, {**about, "Location": f"{hub.url}/elsewhere/{path.encode().hex()}"})
            else:
                self.content(hub.files[path])

        def content(self, content: bytes) -> None:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            left = content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            for key, value in {"ETag": etag(content), "X-Repo-Commit": COMMIT, "Content-Length": len(left)}.items():
                self.send_header(key, str(value))
            self.end_headers()
            if self.command == "GET" and hub.cut:
                hub.cut -= 1
                self.wfile.write(left[: len(left) // 2])
                self.close_connection = True
            elif self.command == "GET":
                self.wfile.write(left)

        def say(self, status: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {**(headers or {}), "Content-Length": "0"}.items():
                self.send_header(key, value)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Tests look at `Hub.asked`."""

    with serving(Handler) as hub.url:
        yield hub


def etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'
