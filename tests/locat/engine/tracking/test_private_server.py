"""Who may enter a server of one person's runs."""

import asyncio
from typing import Any

import pytest

from locat.engine.tracking.private_server import behind_key

KEY = "a-key"
COOKIE = "locat-ui-5000=a-key"


def ask(path: str = "/", query: str = "", kind: str = "http", **headers: str) -> list[dict[str, Any]]:
    """What the app sends for a request."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "server": ("127.0.0.1", 5000),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
    asyncio.run(behind_key(app, KEY)(scope, None, send))  # type: ignore[arg-type]
    return sent


@pytest.mark.parametrize(
    "headers", [{"authorization": "Bearer a-key"}, {"cookie": COOKIE}, {"cookie": f"x=1; {COOKIE}"}]
)
def test_who_has_the_key_enters(headers: dict[str, str]) -> None:
    assert ask(**headers)[0]["status"] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer a-ke"},
        {"authorization": "Bearer \xe9"},
        {"cookie": "locat-ui-5001=a-key"},
        {"cookie": "locat-ui-5000="},
        {"cookie": "a[=;\x01"},
    ],
)
def test_who_has_not_stays_outside(headers: dict[str, str]) -> None:
    assert ask(**headers)[0]["status"] == 401
    assert ask(query="key=another", **headers)[0]["status"] == 401
    assert ask(kind="websocket", **headers)[0] == {"type": "websocket.close", "code": 1008}


def test_a_browser_brings_the_key_once_and_is_sent_on_without_it() -> None:
    start = ask("/ajax", "a=%26&key=a-key")[0]
    headers = dict(start["headers"])
    assert start["status"] == 303 and headers[b"location"] == b"/ajax?a=%26"
    assert headers[b"set-cookie"].decode() == f"{COOKIE}; HttpOnly; SameSite=Strict; Path=/"


@pytest.mark.parametrize("path", ["//evil.example/", "/a\r\nset-cookie: b"])
def test_a_redirect_stays_on_this_server(path: str) -> None:
    location = dict(ask(path, "key=a-key")[0]["headers"])[b"location"]
    assert location.startswith(b"/") and not location.startswith(b"//") and b"\n" not in location
