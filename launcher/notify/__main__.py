"""Tell what there is to tell of a run: `python -m launcher.notify RUN_FOLDER`. Ends within `DEADLINE` seconds.

May run several times at once: each event is claimed by one process (`launcher.notify.notice`).
"""

import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from launcher.notify.message import Message, message_of
from launcher.notify.notice import Notice, untold
from launcher.notify.ways import UndeliveredError, deliver
from launcher.runs.folder import RunFolder
from launcher.runs.status import status_from_folder
from locat.contract.errors import UserError
from locat.contract.text import printable, speak

DEADLINE = 10.0
"""Seconds in which all messages must have left, whatever hangs: a server, a name, a program."""


class Delivery(threading.Thread):
    """One message on its way. As a daemon it holds nobody up who has waited long enough."""

    def __init__(self, notice: Notice, message: Message) -> None:
        super().__init__(daemon=True)
        self.notice, self.message = notice, message
        self.trouble = f"no answer within {DEADLINE:g} s"
        self._has_claimed = False

    @property
    def is_ours(self) -> bool:
        """Unless another process tells it."""
        return self._has_claimed or not self.notice.is_claimed

    def run(self) -> None:
        notification = self.notice.notification
        try:
            deliver(self.message, notification.way, notification.settings, self._claim)
        except UndeliveredError as error:
            self.trouble = str(error)
        except Exception as error:  # an error's own words may hold a URL
            self.trouble = f"{notification.way}: {type(error).__name__}"
        else:
            self.trouble = ""

    def _claim(self) -> None:
        self.notice.claim()
        self._has_claimed = True


def tell(run: RunFolder) -> None:
    """Tell it, and say which messages did not arrive."""
    view = status_from_folder(run, run.plan())
    deliveries = [Delivery(notice, message_of(run, view, notice)) for notice in untold(run, view)]
    for delivery in deliveries:
        delivery.start()
    deadline = time.monotonic() + DEADLINE
    for delivery in deliveries:
        delivery.join(max(0.0, deadline - time.monotonic()))
        if not delivery.is_ours:
            continue
        if delivery.trouble:
            told = f"{delivery.message.title}: not told by {delivery.notice.notification.way}: {delivery.trouble}"
            print(printable(told), flush=True)
        with suppress(OSError):  # a full disk, or a run that was deleted
            delivery.notice.end(delivery.trouble)


def main() -> int:
    speak()
    try:
        tell(RunFolder(Path(sys.argv[1]).resolve()))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
