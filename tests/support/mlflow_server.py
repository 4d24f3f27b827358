"""A real MLflow server that can be killed and started again, behind a proxy that does what networks do."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """`mlflow server` on a SQLite store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        stores = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        stores += ["--artifacts-destination", f"{self.folder}/artifacts", "--workers", "1"]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # one process less to start
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *stores], stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=1)
                return
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
                time.sleep(0.1)

    def kill(self) -> None:
        """All of it at once, its workers too."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Proxy:
    """Passes requests on to a server, or does with them what `fault` says of their method and path."""

    def __init__(self, server: Server) -> None:
        self.server, self.port = server, free_port()
        self.fault: Callable[[str], str] = lambda request: "pass"
        """Request such as `POST /api/2.0/mlflow/runs/create` -> pass, 500 (not passed on), lost (passed on,
        but no answer) or a number: seconds that it takes."""
        self.requests: list[str] = []
        self.up()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        self._listener = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._listener.daemon_threads = True
        self._listener.block_on_close = False
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Connections are refused from now on."""
        self._listener.shutdown()
        self._listener.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline()
                if not self.raw_requestline or not self.parse_request():
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = f"{self.command} {self.path}"
                proxy.requests.append(request)
                fault = proxy.fault(request)
                if fault == "500":
                    self.send_error(500, "the database is on fire")
                    return
                if fault not in ("pass", "lost"):
                    time.sleep(float(fault))
                backend = http.client.HTTPConnection("127.0.0.1", proxy.server.port, timeout=60)
                try:
                    backend.request(self.command, self.path, body, dict(self.headers))
                    answer = backend.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException):
                    return
                finally:
                    backend.close()
                if fault == "lost":
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers["Content-Type"] or "text/plain")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def handle(self) -> None:
                try:
                    self.handle_one_request()
                except OSError:
                    return  # the client is gone

            def log_message(self, format: str, *args: object) -> None:
                return

        return Handler


@contextmanager
def mlflow_server(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    try:
        server.wait()
        yield server
    finally:
        server.kill()
