"""Servers on this machine, up while a test needs them, that answer as a handler says."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import BaseRequestHandler, ThreadingTCPServer

LOOK = 0.01
"""Seconds between two looks whether a server is to end; the library's half a second is longer than most tests."""


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """An HTTP server; its address."""
    with listening(handler, tls) as address:
        yield f"{'https' if tls else 'http'}://{address}"


@contextmanager
def listening(handler: type[BaseRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server of any kind; its HOST:PORT."""
    server = _Server(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(LOOK,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
