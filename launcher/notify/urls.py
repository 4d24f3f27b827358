"""URLs that a message goes to. Variables hold them; no message of an error says more of one than which."""

import os
from urllib.parse import SplitResult, urlsplit

from launcher.plan import Notification, Plan
from locat.contract.errors import ConfigError

SCHEMES = {"webhook": ("https", "http"), "email": ("smtps", "smtp")}
"""By way, those that lead somewhere."""


class BadURLError(Exception):
    """A variable holds none; says which."""


def secret(name: str) -> str:
    """What a variable holds.

    Raises:
        BadURLError: nothing.
    """
    if value := os.environ.get(name, "").strip():
        return value
    raise BadURLError(f"{name} is not set where the job ran")


def url(way: str, name: str) -> SplitResult:
    """The URL that a variable holds, with a host.

    Raises:
        BadURLError: it holds none that leads somewhere by this way.
    """
    schemes = SCHEMES[way]
    try:
        text = secret(name)
        parts = urlsplit(text)
        is_plain = text.isascii() and text.isprintable() and " " not in text
        is_one = is_plain and parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise BadURLError(f"{name} holds no URL of {' or '.join(schemes)}")
    if way == "webhook" and parts.username is not None:
        raise BadURLError(f"{name} holds a URL with a user or password, which webhooks do not take")
    return parts


def check(plan: Plan) -> None:
    """Raise ConfigError unless this shell holds URLs where the plan needs some."""
    for each in notifications(plan):
        if each.way in SCHEMES:
            try:
                url(each.way, each.settings["secret"])
            except BadURLError as error:
                raise ConfigError(f"{plan.pipeline}: notify: {error}; export it anew") from None


def notifications(plan: Plan) -> tuple[Notification, ...]:
    """Those of the run and of all its jobs."""
    return (*plan.notify, *(each for job in plan.jobs for each in job.notify))
