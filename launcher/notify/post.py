"""One POST request, of which nothing but the status is read: no body, no redirect, no other scheme than http(s)."""

import http.client
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.error import URLError

NoHTTPError = http.client.HTTPException
"""What answers speaks another language."""
AGENT = "locat-launcher"


class _Plain(http.client.HTTPConnection):
    """Says when it is connected, before anything is sent."""

    def __init__(self, connected: Callable[[], None], *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._connected = connected

    def connect(self) -> None:
        super().connect()
        self._connected()


class _Secure(_Plain, http.client.HTTPSConnection):
    """The same under TLS, once that stands."""


class _Handler(urllib.request.AbstractHTTPHandler):
    """Of http and https."""

    def __init__(self, connected: Callable[[], None]) -> None:
        super().__init__()
        self._connected = connected

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Plain, self._connected), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Secure, self._connected), request)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_


def post(url: str, body: bytes, connected: Callable[[], None], timeout: float) -> int:
    """Post JSON; the status of the answer.

    Args:
        connected: is called before anything is sent.
        timeout: seconds that each step may take.

    Raises:
        OSError: the server is not reached, or does not answer.
        NoHTTPError: it answers something else than HTTP.
        Exception: what `connected` raises.
    """
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", "User-Agent": AGENT})
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler(), _Handler(connected)):  # none that would follow a redirect
        opener.add_handler(handler)
    try:
        with opener.open(request, timeout=timeout) as response:
            return int(response.status)
    except URLError as error:
        raise error.reason if isinstance(error.reason, OSError) else NoHTTPError from None
