"""Files to a hub of models: Hugging Face's, or what HF_ENDPOINT names; by huggingface_hub, which only `push` imports.

All files are one commit, so that a transfer that breaks leaves the repository as it was. What had arrived is known
there by its content, and is not sent again. The token comes from HF_TOKEN alone, never from a file; nobody is told it.
"""

import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, set_client_factory
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils._http import default_client_factory
from huggingface_hub.utils.tqdm import disable_progress_bars

from launcher.sharing.model import opened
from locat.contract.credentials import redact
from locat.contract.errors import JobError, UserError
from locat.contract.names import one_line

TIMEOUT = 60.0
"""Seconds that the Hub may be silent, for each request; the library's own has no end."""
TOKEN = "HF_TOKEN"
UNCHANGED = "No files have been modified"
"""Begins what the library says where there is nothing to commit, which is told by `Pushed`."""
_QUERY = re.compile(r"\?[^\s'\"]+")
"""Of an address: that of a storage holds a signature."""


@dataclass(frozen=True)
class Pushed:
    """What was done."""

    url: str
    """Of the repository."""
    commit: str
    """Empty where the repository had everything already."""
    removed: tuple[str, ...]
    """Files of an earlier push that do not belong to this model."""


def push(
    repository: str,
    files: Mapping[str, Path | bytes],
    owned: Collection[str],
    message: str,
    private: bool,
    tell: Callable[[str], None],
) -> Pushed:
    """Make `files` the content of OWNER/NAME in one commit; the repository is made if it is not there.

    Args:
        files: name in the repository -> file, or its content.
        owned: names that are removed from the repository where they are not among `files`.
        message: of the commit.
        private: whether a new repository is to be seen by its owner alone; one that is public already is refused.
        tell: is given a line for what takes longer than it should.

    Raises:
        UserError: there is no token, it may not do that, or the Hub does not take the files.
        JobError: the Hub cannot be reached, fails, or stops in the middle.
    """
    token = _token(repository)
    if constants.HF_HUB_OFFLINE:
        raise UserError(f"hf:{repository}: HF_HUB_OFFLINE is set, so nothing is sent; unset it")
    with _library(lambda text: tell(_clean(text, token))):
        try:
            return _push(HfApi(token=token, library_name="locat"), repository, files, owned, message, private)
        except (UserError, JobError):
            raise
        except Exception as error:  # of the HTTP library beneath, or of one of many kinds of a foreign server
            raise _explained(error, repository, token) from error


def _push(
    api: HfApi, repository: str, files: Mapping[str, Path | bytes], owned: Collection[str], message: str, private: bool
) -> Pushed:
    api.create_repo(repository, private=private or None, exist_ok=True)
    before = api.model_info(repository)
    if private and not before.private:
        raise UserError(
            f"hf:{repository} is there and public; make it private on the Hub first, or leave out --private"
        )
    there = {each.rfilename for each in before.siblings or ()}
    removed = tuple(name for name in owned if name in there and name not in files)
    with ExitStack() as stack:
        contents = {
            name: content if isinstance(content, bytes) else stack.enter_context(opened(content))
            for name, content in files.items()
        }
        commit = api.create_commit(
            repository,
            [
                *(CommitOperationAdd(name, content) for name, content in contents.items()),
                *(CommitOperationDelete(name, is_folder=False) for name in removed),
            ],
            commit_message=message,
            parent_commit=before.sha,  # what was looked at: who changes it meanwhile is not overwritten by a half
        )
    changed = commit.oid if commit.oid != before.sha else ""
    return Pushed(address(repository), changed, removed)


def address(repository: str) -> str:
    """Where people see it."""
    return one_line(redact(f"{constants.ENDPOINT}/{repository}"), 300)


def _token(repository: str) -> str:
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise UserError(
            f"hf:{repository}: {TOKEN} is not set; export a token that may write there,"
            f" which {address('settings/tokens')} makes"
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UserError(f"{TOKEN} holds characters that no token has; copy it again")
    return token


@contextmanager
def _library(tell: Callable[[str], None]) -> Iterator[None]:
    """huggingface_hub with an end to each wait, its warnings told, and large files by HTTP.

    Its other way to send them, Xet, knows no end to a wait either, and only Hugging Face's own servers speak it.
    """
    handler = _Telling(tell)
    logger = logging.getLogger("huggingface_hub")
    handlers, propagate, xet = logger.handlers, logger.propagate, constants.HF_HUB_DISABLE_XET
    logger.handlers, logger.propagate, constants.HF_HUB_DISABLE_XET = [handler], False, True
    set_client_factory(_client)
    try:
        with ExitStack() as stack:
            if not sys.stderr.isatty():
                stack.enter_context(disable_progress_bars())
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)  # such as of the card
            warnings.showwarning = lambda message, *about, **more: tell(str(message))
            yield
    finally:
        set_client_factory(default_client_factory)
        logger.handlers, logger.propagate, constants.HF_HUB_DISABLE_XET = handlers, propagate, xet


def _client() -> Any:
    client = default_client_factory()
    client.timeout = TIMEOUT
    return client


class _Telling(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if not text.startswith(UNCHANGED):
            self._tell(text)


def _clean(text: str, token: str) -> str:
    """A line of somebody else's text, without credentials."""
    return one_line(redact(_QUERY.sub("", " ".join(text.split()).replace(token, "***"))), 300)


def _explained(error: Exception, repository: str, token: str) -> UserError | JobError:
    what = f"hf:{repository}"
    sending = isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception)
    cause: BaseException = error.__cause__ if sending and error.__cause__ else error
    again = "push again: what has arrived is not sent twice"
    name = type(cause).__name__
    if isinstance(cause, HfHubHTTPError):
        status = cause.response.status_code
        if sending or status in (408, 429) or status >= 500:
            return JobError(f"{what}: the Hub fails or has too much to do (HTTP {status}); {again}")
        return _refused(what, repository, status, _clean(cause.server_message or "", token))
    if "Timeout" in name:
        return JobError(f"{what}: {address('')} has been silent for {TIMEOUT:g} s; {again}")
    if name == "ConnectError":
        reason = _clean(str(cause), token)
        return JobError(f"{what}: {address('')} cannot be reached ({reason}); see HF_ENDPOINT and the network")
    if isinstance(cause, json.JSONDecodeError | KeyError | TypeError | AttributeError):
        return JobError(f"{what}: {address('')} does not answer as a Hub does ({name}); see HF_ENDPOINT, or {again}")
    reason = _clean(str(cause), token)
    if isinstance(cause, ValueError) and "README.md" in reason:
        return UserError(f"{what}: the Hub does not take the card: {reason.partition('README.md.')[2].strip(' -')}")
    if name in ("UnsupportedProtocol", "InvalidURL"):
        return UserError(f"{what}: HF_ENDPOINT is no address: {reason}")
    if sending or not isinstance(cause, ValueError | OSError):
        return JobError(f"{what}: the transfer broke ({name}: {reason}); {again}")
    return JobError(f"{what} could not be pushed: {name}: {reason}; {again}")


def _refused(what: str, repository: str, status: int, said: str) -> UserError | JobError:
    because = f": {said}" if said else ""
    owner = repository.partition("/")[0]
    match status:
        case 401:
            return UserError(
                f"{what}: the Hub does not know {TOKEN} (HTTP 401): it is mistyped, or has expired{because}"
            )
        case 403:
            return UserError(
                f"{what}: {TOKEN} may not write there (HTTP 403); it needs that right for {owner}{because}"
            )
        case 404:
            return UserError(f"{what} is not there, or {TOKEN} may not see it (HTTP 404); see HF_ENDPOINT too{because}")
        case 409 | 412:
            return JobError(f"{what} was changed by somebody else meanwhile (HTTP {status}); look at it and push again")
    return UserError(f"{what}: the Hub refuses it (HTTP {status}){because}")
