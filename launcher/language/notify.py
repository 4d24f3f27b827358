"""What a pipeline says of whom to tell what: `notify`, of a run and of its jobs."""

import importlib.util
import re
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from launcher.language.words import Duration, Schema, named
from launcher.notify.condition import Condition
from locat.config.command import Word as ArgumentWord
from locat.contract.problems import did_you_mean, shown

Ends = Literal["done", "failed", "invalid"]
ENDS = get_args(Ends)

NAMED = "name a variable, such as `{secret: SLACK_URL}`, and export it in the shell that submits"


def _condition(value: str) -> str:
    Condition.parse(value)
    return value


def _event(value: Any) -> Any:
    """`done` for `{ends: done}`."""
    if not isinstance(value, str):
        return value
    if value not in ENDS:
        forms = "done, failed, invalid, `stalled: 30m` or `metric: val/miou < 5`"
        raise ValueError(f"expected {forms}, got {shown(value)}{did_you_mean(value, ENDS)}")
    return {"ends": value}


def _secret(value: str) -> str:
    """Messages do not show what stands there instead of a name: it may be the secret itself."""
    if len(value) > 200 or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError(f"expected the name of a variable that holds the URL, which must not be written out; {NAMED}")
    return value


def _program(value: list[str]) -> list[str]:
    if not value[0] or ("/" in value[0] and not value[0].startswith("/")):
        raise ValueError(f"expected a program's name or absolute path first, got {shown(value[0])}")
    return value


def _way(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(f"expected a mapping; a URL must not be written out; {NAMED}")
    return value


def _installed(value: Any) -> Any:
    if importlib.util.find_spec("apprise") is None:
        raise ValueError("the package apprise is not installed here; install it, or use webhook, email or command")
    return value


class Event(Schema):
    """An event. Exactly one key; `done`, `failed` and `invalid` alone are short for `{ends: ...}`."""

    ends: Ends | None = None
    """The job or run ends: `done`; `failed`, with no retries left; `invalid`, its configuration is wrong. A run is
    `failed` if one of its jobs is failed or invalid."""
    stalled: Duration | None = None
    """A running job has made no progress for this long, such as `30m`; at most one message per attempt."""
    metric: Annotated[str, AfterValidator(_condition)] | None = None
    """A recorded metric of a job meets a condition: `val/miou < 5 after 2000` is met if the metric is below 5 at step
    2000 or later. Operators are `<`, `<=`, `>` and `>=`; at most one message per job."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(value is not None for value in (self.ends, self.stalled, self.metric)) != 1:
            raise ValueError("expected one key of ends, stalled, metric")
        return self


Address = Annotated[
    str,
    named("an address such as name@example.org", r"[A-Za-z0-9._%+=-]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", 254),
]


SecretName = Annotated[str, AfterValidator(_secret)]


class Webhook(Schema):
    """A POST request."""

    secret: SecretName
    """Variable that holds the `https` or `http` URL; you need not list it under `secrets`."""
    form: Literal["json", "slack", "discord", "teams"] = "json"
    """Format of the body: `json` has one key per fact; the others suit incoming webhooks of Slack, Discord and
    Teams."""


class Email(Schema):
    """An e-mail."""

    secret: SecretName
    """Variable that holds `smtps://USER:PASSWORD@HOST`, or `smtp://...`, which switches to TLS after connecting and
    sends no password without it."""
    to: Annotated[list[Address], Field(min_length=1)]
    """Recipients."""
    sender: Address | None = None
    """Sender; by default the first address of `to`."""


class Apprise(Schema):
    """Any other service, through the package Apprise, which must be installed where jobs run."""

    secret: SecretName
    """Variable that holds the service's Apprise URL."""


class Notification(Schema):
    """The events to report, and the way to report them: one of webhook, email, command and apprise."""

    on: Annotated[list[Annotated[Event, BeforeValidator(_event)]], Field(min_length=1)]
    """Events to report."""
    webhook: Annotated[Webhook, BeforeValidator(_way)] | None = None
    """Send a request to a server."""
    email: Annotated[Email, BeforeValidator(_way)] | None = None
    """Send an e-mail."""
    command: Annotated[list[ArgumentWord], Field(min_length=1), AfterValidator(_program)] | None = None
    """Run a program with arguments; it reads the message as JSON on stdin. No shell is involved."""
    apprise: Annotated[Apprise, BeforeValidator(_way), BeforeValidator(_installed)] | None = None
    """Use a service that Apprise supports."""

    @model_validator(mode="after")
    def _has_one_way(self) -> Self:
        if len(self.ways) != 1:
            raise ValueError(
                f"expected one of webhook, email, command, apprise, got {' and '.join(self.ways) or 'none'}"
            )
        return self

    @property
    def ways(self) -> dict[str, Webhook | Email | list[str] | Apprise]:
        """The keys that say by which way; one."""
        ways = {"webhook": self.webhook, "email": self.email, "command": self.command, "apprise": self.apprise}
        return {name: way for name, way in ways.items() if way is not None}

    @property
    def secret(self) -> str:
        """The variable that it needs; empty if it needs none."""
        (way,) = self.ways.values()
        return "" if isinstance(way, list) else way.secret
