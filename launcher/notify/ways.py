"""The ways by which a message leaves: each connects first, then calls `claim`, then sends, within a few seconds.

No error says more of a URL than which variable holds it.
"""

import json
import os
import shutil
import signal
import smtplib
import ssl
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, unquote

from launcher import machine
from launcher.notify.message import Message, body
from launcher.notify.post import NoHTTPError, post
from launcher.notify.urls import BadURLError, secret, url

TIMEOUT = 8.0
"""Seconds that a step of a delivery may take."""
Claim = Callable[[], None]
Settings = Mapping[str, Any]


class UndeliveredError(Exception):
    """A message was not taken; says why."""


def _webhook(message: Message, settings: Settings, claim: Claim) -> None:
    name = settings["secret"]
    status = post(url("webhook", name).geturl(), body(message, settings["form"]), claim, TIMEOUT)
    if 300 <= status < 400:
        raise UndeliveredError(f"the server that {name} names sends it elsewhere ({status}), which is not followed")
    if not 200 <= status < 300:
        raise UndeliveredError(f"the server that {name} names answers {_worded(status)}")


def _worded(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _email(message: Message, settings: Settings, claim: Claim) -> None:
    address = url("email", settings["secret"])
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.title, settings["sender"], ", ".join(settings["to"])
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="locat.invalid")
    mail.set_content("\n".join(message.lines) + "\n")
    tls, name = ssl.create_default_context(), machine.host()
    if address.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(_host(address), address.port or 465, name, timeout=TIMEOUT, context=tls)
    else:
        server = smtplib.SMTP(_host(address), address.port or 587, name, timeout=TIMEOUT)
    try:
        if address.scheme == "smtp" and server.ehlo()[0] == 250 and server.has_extn("starttls"):
            server.starttls(context=tls)
        elif address.scheme == "smtp" and address.password:
            raise UndeliveredError(f"the server that {settings['secret']} names offers no TLS, so gets no password")
        if address.username:
            server.login(unquote(address.username), unquote(address.password or ""))
        claim()
        server.send_message(mail)
    finally:
        server.close()


def _command(message: Message, settings: Settings, claim: Claim) -> None:
    words = settings["words"]
    if shutil.which(words[0]) is None:
        raise UndeliveredError(f"there is no program {words[0]}")
    claim()
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=nothing, stderr=nothing, start_new_session=True)
    try:
        process.communicate(json.dumps(message.to_json()).encode(), timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise UndeliveredError(f"{words[0]} did not end within {TIMEOUT:g} s and was killed") from None
    if process.returncode:
        raise UndeliveredError(f"{words[0]} ended with exit code {process.returncode}")


def _apprise(message: Message, settings: Settings, claim: Claim) -> None:
    try:
        import apprise  # type: ignore[import-not-found,unused-ignore]  # the user's to install
    except ImportError:
        raise UndeliveredError("the package apprise is not installed where the job ran") from None
    services = apprise.Apprise()
    if not services.add(secret(settings["secret"])):
        raise UndeliveredError(f"{settings['secret']} holds no URL that Apprise knows")
    claim()
    if not services.notify(title=message.title, body="\n".join(message.lines)):
        raise UndeliveredError(f"the service that {settings['secret']} names did not take it")


_WAYS: Mapping[str, Callable[[Message, Settings, Claim], None]] = {
    "webhook": _webhook,
    "email": _email,
    "command": _command,
    "apprise": _apprise,
}


def deliver(message: Message, way: str, settings: Settings, claim: Claim) -> None:
    """Send a message.

    Args:
        claim: is called once the other side is there, before the message leaves.

    Raises:
        UndeliveredError: it was not taken, or may not have been.
        Exception: what `claim` raises.
    """
    try:
        _WAYS[way](message, settings, claim)
    except BadURLError as error:
        raise UndeliveredError(str(error)) from None
    except smtplib.SMTPAuthenticationError as error:
        raise UndeliveredError(f"the server does not take the user and password ({error.smtp_code})") from None
    except smtplib.SMTPResponseException as error:
        raise UndeliveredError(f"the server answers {error.smtp_code}") from None
    except (OSError, NoHTTPError, smtplib.SMTPException) as error:
        raise UndeliveredError(f"{settings.get('secret', way)}: {_cause(error)}") from None


def _cause(error: Exception) -> str:
    """What went wrong, without what the error says of names and paths."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message.partition(', certificate')[0]}"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "its server closes the connection, or does not answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _host(parts: SplitResult) -> str:
    assert parts.hostname is not None, "`url` has looked"
    return parts.hostname
