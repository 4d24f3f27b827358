"""Servers on this machine that messages are sent to, as good or bad as real ones are."""

import json
import socketserver
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from pytest import MonkeyPatch

from support.http_server import listening, serving

PATIENCE = 5.0
"""Seconds that a bad server holds a client: longer than any of these tests lets it."""


@dataclass
class Posts:
    """What a webhook was sent."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def webhook(manner: str = "good", tls: ssl.SSLContext | None = None) -> Iterator[Posts]:
    """A server that takes a message in this manner: good, mute, slow, lies, or with a status such as 500 or 302; `tls`
    is for https."""
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            with suppress(OSError):
                self.answer()

        def do_GET(self) -> None:
            posts.bodies.append({"followed": self.path})

        def answer(self) -> None:
            if manner == "mute":
                time.sleep(PATIENCE)
            elif manner == "slow":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                for _ in range(int(PATIENCE / 0.05)):
                    self.wfile.write(b"x")
                    time.sleep(0.05)
            elif manner == "lies":
                self.send_response(200)
                self.send_header("Content-Length", str(10**12))
                self.end_headers()
                self.wfile.write(b"ok")
                time.sleep(PATIENCE)
            else:
                self.send_response(200 if manner == "good" else int(manner))
                self.send_header("Location", "file:///etc/passwd" if manner == "302" else posts.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with serving(Handler, tls) as address, MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        posts.url = f"{address}/services/T00/hidden-path"
        yield posts


@dataclass
class Mailbox:
    """What a mail server was sent."""

    address: str = ""
    logins: list[str] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)


@contextmanager
def mail_server(manner: str = "good", tls: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """A server that takes mail in this manner: good, mute, smtps, or refusing logins (535) or people (550); `tls`
    is for STARTTLS, or smtps."""
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            if manner == "mute":
                time.sleep(PATIENCE)
                return
            if manner == "smtps":
                self.wrap()
            with suppress(OSError):
                self.say("220 here")
                while line := self.rfile.readline().decode().strip():
                    if not self.does(line):
                        return

        def does(self, line: str) -> bool:
            match line.split()[0].upper():
                case "EHLO":
                    offers = [*(["STARTTLS"] if tls and not isinstance(self.request, ssl.SSLSocket) else [])]
                    for offer in ["here", *offers]:
                        self.say(f"250-{offer}")
                    self.say("250 AUTH PLAIN")
                case "STARTTLS":
                    self.say("220 go on")
                    self.wrap()
                case "AUTH":
                    box.logins.append(line)
                    self.say("535 no" if manner == "535" else "235 welcome")
                case "RCPT":
                    box.recipients.append(line)
                    self.say("550 nobody" if manner == "550" else "250 ok")
                case "DATA":
                    self.say("354 go on")
                    lines = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                    box.mails.append("".join(lines))
                    self.say("250 ok")
                case "QUIT":
                    return False
                case _:
                    self.say("250 ok")
            return True

        def wrap(self) -> None:
            assert tls is not None
            self.request = tls.wrap_socket(self.request, server_side=True)
            self.setup()

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    with listening(Handler) as box.address:
        yield box
