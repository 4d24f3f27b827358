"""Messages leave by each way, whatever the other side does, and no error says more of a URL than its variable."""

import json
import ssl
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.certificates import Authority
from launcher.notify import ways
from launcher.notify.message import Message, body
from launcher.notify.ways import UndeliveredError, deliver
from support.sinks import mail_server, webhook

MESSAGE = Message(
    id="run-1/train/0.0-failed-3",
    run="run-1",
    pipeline="digits",
    event="failed",
    job="train",
    reason="CUDA out of memory <!channel> *now*",
    numbers={"val/top1": 71.25, "train/loss": "nan"},
    attempt=3,
    took="2:10:05",
    host="node-7",
    next=("launcher logs run-1 train", "launcher retry run-1"),
    time=0.0,
)
TEXT = """\
run-1: train failed
CUDA out of memory <!channel> *now*
val/top1 71.25, train/loss nan
attempt 3 on node-7, 2:10:05
next: launcher logs run-1 train
next: launcher retry run-1"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "TIMEOUT", 0.5)


class Claims:
    """How often a way has claimed the message."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> None:
        self.made += 1


def refused(way: str, settings: dict[str, Any]) -> tuple[str, int]:
    """Why a message did not arrive, and whether it was claimed before."""
    claims, began = Claims(), time.monotonic()
    with pytest.raises(UndeliveredError) as error:
        deliver(MESSAGE, way, settings, claims)
    assert time.monotonic() < began + 4
    return str(error.value), claims.made


def posted(monkeypatch: pytest.MonkeyPatch, form: str) -> Any:
    claims = Claims()
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        deliver(MESSAGE, "webhook", {"secret": "HOOK", "form": form}, claims)
    assert claims.made == 1
    (found,) = posts.bodies
    return found


def test_a_webhook_gets_every_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    said = posted(monkeypatch, "json")
    assert said["text"] == TEXT and said["format"] == 1
    known = {"id", "run", "pipeline", "event", "job", "reason", "numbers", "attempt", "took", "host", "next", "time"}
    assert said.keys() == known | {"text", "format"}
    assert said["numbers"] == {"val/top1": 71.25, "train/loss": "nan"}


def test_slack_calls_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    assert posted(monkeypatch, "slack") == {"text": TEXT.replace("<!channel>", "&lt;!channel&gt;")}


def test_discord_calls_nobody_and_gets_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert posted(monkeypatch, "discord") == {"content": TEXT, "allowed_mentions": {"parse": []}}
    assert len(json.loads(body(replace(MESSAGE, reason="x" * 5000), "discord"))["content"]) < 2000


def test_teams_gets_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    (attachment,) = posted(monkeypatch, "teams")["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    lines = [block["text"] for block in attachment["content"]["body"]]
    assert lines[:2] == ["run-1: train failed", "CUDA out of memory <!channel> \\*now\\*"]


@pytest.mark.parametrize(
    ("manner", "trouble"),
    [
        ("500", "the server that HOOK names answers 500 Internal Server Error"),
        ("404", "the server that HOOK names answers 404 Not Found"),
        ("302", "the server that HOOK names sends it elsewhere (302), which is not followed"),
        ("307", "the server that HOOK names sends it elsewhere (307), which is not followed"),
        ("mute", "HOOK: no answer within 0.5 s"),
    ],
)
def test_a_server_that_does_not_take_it_is_asked_once(
    manner: str, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook(manner) as posts:
        monkeypatch.setenv("HOOK", posts.url)
        assert refused("webhook", {"secret": "HOOK", "form": "json"}) == (trouble, 1)
    assert len(posts.bodies) == 1


def test_a_server_that_lies_about_the_length_of_its_answer_is_not_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with webhook("lies") as posts:
        monkeypatch.setenv("HOOK", posts.url)
        deliver(MESSAGE, "webhook", {"secret": "HOOK", "form": "json"}, Claims())
        assert time.monotonic() < began + 1


@pytest.mark.parametrize(
    ("url", "trouble"),
    [
        ("", "HOOK is not set where the job ran"),
        ("file:///etc/hidden", "HOOK holds no URL of https or http"),
        ("ftp://example/hidden", "HOOK holds no URL of https or http"),
        ("hidden", "HOOK holds no URL of https or http"),
        ("http://host:99999/hidden", "HOOK holds no URL of https or http"),
        ("http://[hidden", "HOOK holds no URL of https or http"),
        ("http://host/hid\x00den", "HOOK holds no URL of https or http"),
        ("https://me:hidden@host/", "HOOK holds a URL with a user or password, which webhooks do not take"),
        ("http://127.0.0.1:1/hidden", "HOOK: Connection refused"),
        ("http://no-such-host.invalid/hidden", None),
        ("http://127.0.0.1:1/hid den", "HOOK holds no URL of https or http"),
    ],
)
def test_a_url_that_leads_nowhere_is_not_shown(url: str, trouble: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if "\x00" in url:
        monkeypatch.setattr("os.environ", {"HOOK": url})
    else:
        monkeypatch.setenv("HOOK", url)
    said, claimed = refused("webhook", {"secret": "HOOK", "form": "json"})
    assert not claimed
    assert said.startswith("HOOK: ") if trouble is None else said == trouble
    assert "hid" not in said and "no-such-host" not in said


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as posts:
        monkeypatch.setenv("http_proxy", posts.url)
        monkeypatch.setenv("HOOK", "http://no-such-host.invalid/hidden")
        deliver(MESSAGE, "webhook", {"secret": "HOOK", "form": "json"}, Claims())
    assert len(posts.bodies) == 1


def test_what_is_no_http_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as box:
        monkeypatch.setenv("HOOK", f"http://{box.address}/hidden")
        said, _ = refused("webhook", {"secret": "HOOK", "form": "json"})
    assert said == "HOOK: BadStatusLine"


def test_a_webhook_is_claimed_once_tls_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook(tls=trusted(tmp_path, monkeypatch)) as posts:
        monkeypatch.setenv("HOOK", posts.url)
        claims = Claims()
        deliver(MESSAGE, "webhook", {"secret": "HOOK", "form": "json"}, claims)
    assert posts.url.startswith("https://") and len(posts.bodies) == claims.made == 1


def test_a_certificate_must_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has left before, by a webhook or by mail."""
    context = trusted(tmp_path, monkeypatch, trust=False)
    with webhook(tls=context) as posts:
        monkeypatch.setenv("HOOK", posts.url)
        said, claimed = refused("webhook", {"secret": "HOOK", "form": "json"})
    assert said.startswith("HOOK: its certificate is not trusted: ") and not claimed and not posts.bodies
    with mail_server(tls=context) as box:
        monkeypatch.setenv("MAIL", f"smtp://me:pw@{box.address}")
        said, claimed = refused("email", {"secret": "MAIL", "to": ["you@example.org"], "sender": "me@example.org"})
    assert said.startswith("MAIL: its certificate is not trusted: ") and not claimed and not box.logins


def trusted(folder: Path, monkeypatch: pytest.MonkeyPatch, trust: bool = True) -> ssl.SSLContext:
    """Of a server at 127.0.0.1."""
    authority = Authority(folder, "tests")
    issued = authority.issue("server", hosts=["127.0.0.1"])
    if trust:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    return context


@pytest.mark.parametrize(("scheme", "manner"), [("smtp", "good"), ("smtps", "smtps")])
def test_an_email_arrives_under_tls_with_user_and_password(
    scheme: str, manner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(manner, trusted(tmp_path, monkeypatch)) as box:
        monkeypatch.setenv("MAIL", f"{scheme}://me%40example.org:p%2Fw@{box.address}")
        claims = Claims()
        settings = {"secret": "MAIL", "to": ["you@example.org", "b@example.org"], "sender": "me@example.org"}
        deliver(MESSAGE, "email", settings, claims)
    assert claims.made == 1 and len(box.logins) == 1 and len(box.recipients) == 2
    (mail,) = box.mails
    assert "Subject: run-1: train failed\r\n" in mail and "To: you@example.org, b@example.org\r\n" in mail
    assert mail.endswith("next: launcher retry run-1\r\n") and "p/w" not in mail


def test_a_subject_is_one_line_whatever_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as box:
        monkeypatch.setenv("MAIL", f"smtp://{box.address}")
        settings = {"secret": "MAIL", "to": ["you@example.org"], "sender": "me@example.org"}
        deliver(replace(MESSAGE, reason="é\u2028.\r\n.\r\n", numbers={}), "email", settings, Claims())
    assert len(box.mails) == 1


@pytest.mark.parametrize(
    ("manner", "user", "trouble", "claimed"),
    [
        ("good", "me:pw@", "the server that MAIL names offers no TLS, so gets no password", 0),
        ("mute", "", "MAIL: its server closes the connection, or does not answer", 0),
        ("550", "", "MAIL: SMTPRecipientsRefused", 1),
    ],
)
def test_a_mail_server_that_does_not_take_it(
    manner: str, user: str, trouble: str, claimed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(manner) as box:
        monkeypatch.setenv("MAIL", f"smtp://{user}{box.address}")
        settings = {"secret": "MAIL", "to": ["you@example.org"], "sender": "me@example.org"}
        assert refused("email", settings) == (trouble, claimed)
        assert not box.logins and not box.mails


def test_a_password_that_is_not_taken_is_told_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server("535", trusted(tmp_path, monkeypatch)) as box:
        monkeypatch.setenv("MAIL", f"smtp://me:hidden@{box.address}")
        said, claimed = refused("email", {"secret": "MAIL", "to": ["you@example.org"], "sender": "me@example.org"})
    assert (said, claimed) == ("the server does not take the user and password (535)", 0)


def test_a_command_reads_the_message_and_no_shell_reads_its_words(tmp_path: Path) -> None:
    file = tmp_path / "a b; $(touch c)"
    deliver(MESSAGE, "command", {"words": ["tee", str(file)]}, Claims())
    assert json.loads(file.read_text())["text"] == TEXT
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("words", "trouble", "claimed"),
    [
        (["no-such-program"], "there is no program no-such-program", 0),
        (["false"], "false ended with exit code 1", 1),
        (["sleep", "60"], "sleep did not end within 0.5 s and was killed", 1),
    ],
)
def test_a_command_that_does_not_do_it(words: list[str], trouble: str, claimed: int) -> None:
    assert refused("command", {"words": words}) == (trouble, claimed)


def test_apprise_is_used_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"secret": "SERVICE"}
    monkeypatch.setenv("SERVICE", "gotify://hidden")
    assert refused("apprise", settings) == ("the package apprise is not installed where the job ran", 0)
    (tmp_path / "apprise.py").write_text(
        "told = []\n"
        "class Apprise:\n"
        "    def add(self, url): self.url = url; return '://' in url\n"
        "    def notify(self, title, body): told.append((self.url, title, body)); return 'broken' not in self.url\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    deliver(MESSAGE, "apprise", settings, Claims())
    import apprise  # type: ignore[import-not-found]

    monkeypatch.delitem(__import__("sys").modules, "apprise")
    ((url, title, text),) = apprise.told
    assert (url, title) == ("gotify://hidden", "run-1: train failed") and text == TEXT.partition("\n")[2]
    monkeypatch.setenv("SERVICE", "broken://hidden")
    assert refused("apprise", settings) == ("the service that SERVICE names did not take it", 1)
    monkeypatch.setenv("SERVICE", "hidden")
    assert refused("apprise", settings) == ("SERVICE holds no URL that Apprise knows", 0)
    monkeypatch.delitem(__import__("sys").modules, "apprise")
