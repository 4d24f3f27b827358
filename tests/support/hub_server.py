"""A hub of models on this machine: the Hub's API as far as downloads need it, and by `hub_uploads` uploads."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from support import hub_uploads
from support.http_server import serving
from support.hub_uploads import Uploads

COMMIT = "1" * 40
"""Of what nobody has pushed."""


@dataclass
class Hub:
    """What it holds, how it misbehaves, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """OWNER/NAME/FILE -> content. What is called model.safetensors lies elsewhere, as large files do."""
    token: str = ""
    """Without which every repository is refused; empty for none, but nothing is sent without any."""
    cut: int = 0
    """Downloads whose second half is still to be lost."""
    status: int = 0
    """Answered to everything, if not 0."""
    delay: float = 0.0
    """Seconds before anything is answered."""
    uploads: Uploads = field(default_factory=Uploads)
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

        def do_POST(self) -> None:
            self.take()

        def do_PUT(self) -> None:
            self.take()

        def take(self) -> None:
            """What is sent: tokens are asked for but by the storage, whose addresses are signed."""
            length, uploads = int(self.headers.get("Content-Length", 0)), hub.uploads
            if self.command == "PUT" and uploads.cut and length > uploads.larger:
                uploads.cut -= 1
                self.rfile.read(length // 2)
                self.close_connection = True
                return
            self.answer(self.rfile.read(length))

        def api(self, token: str, body: bytes) -> bool:
            """Answer what belongs to an upload; whether it does."""
            if self.command == "HEAD" or (self.command == "GET" and not self.path.startswith("/api/")):
                return False
            if self.command != "PUT" and (not token or token != (hub.token or token)):
                self.say(401, content=b'{"error": "Invalid username or password."}')
                return True
            found = hub_uploads.answer(hub.uploads, hub.files, hub.url, self.command, self.path, body)
            status, said = found or (404, {"error": "no such page"})
            self.say(status, content=json.dumps(said).encode())
            return True

        def answer(self, body: bytes = b"") -> None:
            token = self.headers.get("authorization", "").removeprefix("Bearer ")
            hub.asked.append((self.command, self.path, token))
            threading.Event().wait(hub.delay)  # tests replace time.sleep
            owner, name, *rest = self.path.strip("/").split("/")
            if hub.status:
                self.say(hub.status)
            elif self.api(token, body):
                return
            elif owner == "elsewhere":
                self.content(hub.files[path := bytes.fromhex(name).decode()], hub.uploads.head(path.rpartition("/")[0]))
            elif hub.token and token != hub.token:
                self.say(401, {"X-Error-Code": "RepoNotFound"})
            elif not any(path.startswith(f"{owner}/{name}/") for path in hub.files):
                self.say(404, {"X-Error-Code": "RepoNotFound"})
            elif rest[1] not in ("main", commit := hub.uploads.head(f"{owner}/{name}")):
                self.say(404, {"X-Error-Code": "RevisionNotFound"})
            elif (path := f"{owner}/{name}/{rest[2]}") not in hub.files:
                self.say(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            elif path.endswith("model.safetensors"):
                content = hub.files[path]
                about = {"X-Repo-Commit": commit, "X-Linked-Etag": etag(content), "X-Linked-Size": str(len(content))}
                self.say(302, {**about, "Location": f"{hub.url}/elsewhere/{path.encode().hex()}"})
            else:
                self.content(hub.files[path], commit)

        def content(self, content: bytes, commit: str) -> None:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            left = content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            for key, value in {"ETag": etag(content), "X-Repo-Commit": commit, "Content-Length": len(left)}.items():
                self.send_header(key, str(value))
            self.end_headers()
            if self.command == "GET" and hub.cut:
                hub.cut -= 1
                self.wfile.write(left[: len(left) // 2])
                self.close_connection = True
            elif self.command == "GET":
                self.wfile.write(left)

        def say(self, status: int, headers: dict[str, str] | None = None, content: bytes = b"") -> None:
            self.send_response(status)
            for key, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(ConnectionError):  # of who waits no longer
                    self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Tests look at `Hub.asked`."""

    with serving(Handler) as hub.url:
        yield hub


def etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'
