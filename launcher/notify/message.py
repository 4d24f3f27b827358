"""What a message says, as data and in the forms that services take."""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from launcher.backends import BACKENDS
from launcher.comparing import numbers
from launcher.notify.notice import Notice
from launcher.runs.folder import RunFolder
from launcher.runs.status import RunView
from launcher.snapshot.redaction import blanked
from launcher.view.summary import command
from launcher.view.tables import duration
from locat.contract.errors import UserError
from locat.contract.metric_record import in_json
from locat.contract.names import one_line

LONGEST_REASON = 500
MOST_NUMBERS = 12
LONGEST_CHAT = 1900
"""Characters of a message that Discord takes; it refuses those of 2,000."""


@dataclass(frozen=True)
class Message:
    """What one event is told with."""

    id: str
    """Of the event and way: RUN/JOB/NAME."""
    run: str
    pipeline: str
    event: str
    job: str | None = None
    """None: of the run as a whole."""
    reason: str = ""
    numbers: dict[str, float | str] = field(default_factory=dict)
    """Last evaluation, and last loss of training; strings where JSON has no number."""
    attempt: int | None = None
    took: str = ""
    """The attempt, until now or its end."""
    host: str = ""
    next: tuple[str, ...] = ()
    """Commands to type."""
    time: float = field(default_factory=time.time)
    """Unix time."""

    @property
    def title(self) -> str:
        what = "meets a condition" if self.event == "metric" else self.event
        return f"{self.run}: {what}" if self.job is None else f"{self.run}: {self.job} {what}"

    @property
    def lines(self) -> list[str]:
        """All but the title."""
        values = ", ".join(f"{name} {float(value):.6g}" for name, value in self.numbers.items())
        attempt = f"attempt {self.attempt} on {self.host}, {self.took}" if self.attempt else ""
        return [line for line in (self.reason, values, attempt, *(f"next: {each}" for each in self.next)) if line]

    @property
    def text(self) -> str:
        return "\n".join([self.title, *self.lines])

    def to_json(self) -> dict[str, Any]:
        return {"format": 1, **asdict(self), "next": list(self.next), "text": self.text}


def message_of(run: RunFolder, view: RunView, notice: Notice) -> Message:
    """What is told of an event."""
    job = notice.job
    about: dict[str, Any] = {}
    if job is not None:
        about = {"job": job.name, "attempt": job.state.attempt or None, "took": duration(job), "host": job.state.host}
        about["numbers"] = _numbers(run, job.name)
    return Message(
        id="/".join(filter(None, (run.name, job.name if job else "", notice.name))),
        run=run.name,
        pipeline=view.plan.pipeline,
        event=notice.event.kind,
        reason=_told(notice.reason, view.plan.secrets),
        next=_next(run, view, notice),
        **about,
    )


def _told(reason: str, secrets: Collection[str]) -> str:
    """A reason is the end of a log: it leaves the machine without what looks like a secret."""
    return one_line(blanked(reason.encode(errors="replace"), secrets).decode(errors="replace"), LONGEST_REASON)


def _numbers(run: RunFolder, job: str) -> dict[str, float | str]:
    try:
        found = numbers.read(run.job(job).metrics, numbers.DEFAULT).values
    except UserError:  # what is there is no log of metrics
        return {}
    return {one_line(name): in_json(value) for name, value in list(found.items())[:MOST_NUMBERS]}


def _next(run: RunFolder, view: RunView, notice: Notice) -> tuple[str, ...]:
    """The commands that a user would type now."""

    def ask(verb: str) -> str:
        sees_folders = BACKENDS[view.plan.backend].places(run.path.parent).sees_folders
        return command(verb, run) if sees_folders else f"launcher {verb} {run.name}"

    job = notice.job.name if notice.job else ""
    if notice.event.kind == "done":
        return (ask("status"),)
    if notice.event.kind in ("stalled", "metric"):
        return (f"{ask('logs')} {job}", f"{ask('cancel')} {job}")
    return (f"{ask('logs')} {job}".rstrip(), ask("retry"))


def _slack(message: Message) -> dict[str, Any]:
    text = message.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")  # <!channel> would call all
    return {"text": text}


def _discord(message: Message) -> dict[str, Any]:
    return {"content": message.text[:LONGEST_CHAT], "allowed_mentions": {"parse": []}}


def _teams(message: Message) -> dict[str, Any]:
    lines = [message.title, *message.lines]
    blocks = [{"type": "TextBlock", "text": _as_it_is(line), "wrap": True} for line in lines]
    blocks[0] |= {"weight": "Bolder", "size": "Medium"}
    card = {"type": "AdaptiveCard", "version": "1.4", "body": blocks}
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }


def _as_it_is(line: str) -> str:
    """Not as Markdown, which a text block is."""
    return "".join(f"\\{character}" if character in r"\`*_[]()#" else character for character in line)


_FORMS: dict[str, Callable[[Message], dict[str, Any]]] = {
    "json": Message.to_json,
    "slack": _slack,
    "discord": _discord,
    "teams": _teams,
}


def body(message: Message, form: str) -> bytes:
    """What is posted to a webhook of this form."""
    return json.dumps(_FORMS[form](message), allow_nan=False).encode()
