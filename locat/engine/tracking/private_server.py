"""MLflow's server for one person: it answers nobody who lacks the key that was drawn for this start.

A loopback address is shared by all users of a machine, and MLflow's own server asks nobody who they are. `launcher ui`
names this app to MLflow by the entry point `mlflow.app` (pyproject.toml).
"""

import os
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

KEY_VARIABLE = "LOCAT_UI_KEY"
"""Only this user's processes can read the variable; a command line would show the key to everybody."""
PARAMETER = "key"
"""Query parameter of the address that `launcher ui` prints."""
REFUSAL = b"Open the address that `launcher ui` printed: it holds the key of this server.\n"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def create_app() -> App:
    """MLflow's app behind the key of the environment."""
    from mlflow.server.fastapi_app import app

    return behind_key(app, os.environ[KEY_VARIABLE])


def behind_key(app: App, key: str) -> App:
    """`app` for those who have `key`.

    A browser brings it once, in the address, and is given a cookie; MLflow's client brings it as MLFLOW_TRACKING_TOKEN.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or _has_key(scope, key):
            await app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if _equal(query.pop(PARAMETER, [""])[0], key):
            # The address without the key, so that it stays out of the history and of links; browsers keep the fragment.
            rest = urlencode(query, doseq=True)
            location = "/" + quote(scope["path"].lstrip("/")) + (f"?{rest}" if rest else "")
            cookie = f"{_cookie_name(scope)}={key}; HttpOnly; SameSite=Strict; Path=/"
            await _answer(send, 303, [(b"location", location.encode()), (b"set-cookie", cookie.encode())])
        else:
            await _answer(send, 401, [(b"content-type", b"text/plain")], REFUSAL)

    return guarded


def _has_key(scope: Scope, key: str) -> bool:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    if _equal(headers.get(b"authorization", "").removeprefix("Bearer "), key):
        return True
    try:
        cookie = SimpleCookie(headers.get(b"cookie", "")).get(_cookie_name(scope))
    except CookieError:
        return False
    return cookie is not None and _equal(cookie.value, key)


def _cookie_name(scope: Scope) -> str:
    """Ports share cookies: each server has one of its own."""
    return f"locat-ui-{scope['server'][1]}"


def _equal(given: str, key: str) -> bool:
    return secrets.compare_digest(given.encode(), key.encode())


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> None:
    await send(
        {"type": "http.response.start", "status": status, "headers": [*headers, (b"cache-control", b"no-store")]}
    )
    await send({"type": "http.response.body", "body": body})
