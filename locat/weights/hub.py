"""Weights from a hub of models: Hugging Face's, or what HF_ENDPOINT names.

huggingface_hub reads HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE. A token comes from HF_TOKEN alone, never from a file.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from timm.models._hub import HF_WEIGHTS_NAME, _get_safe_alternatives, hf_hub_download, hf_split

from locat.contract.errors import ConfigError, JobError, WeightsError
from locat.weights.files import Statistics, statistics

REFUSED = (401, 403)


def weights_file(repository: str, filename: str | None = None) -> Path:
    """The file of weights of OWNER/NAME or OWNER/NAME@REVISION, in the cache; .safetensors where there is one.

    Raises:
        ConfigError: there is no such repository, it may not be read, or the cache cannot be written.
        WeightsError: it has no weights under the names that timm gives them, or offline the cache has none.
        JobError: the Hub cannot be reached, or does not answer as one.
    """
    name = filename or HF_WEIGHTS_NAME
    names = dict.fromkeys([*([] if name.endswith(".safetensors") else _get_safe_alternatives(name)), name])
    for each in names:
        if (found := _fetch(repository, each)) is not None:
            return found
    raise _absent(repository, names)


def model_folder(repository: str, beside: Sequence[str] = ()) -> Path:
    """The folder in the cache with config.json, the weights and what the repository has of `beside`, all of one commit.

    Raises as `weights_file`, and WeightsError where there is no config.json.
    """
    config = _fetch(repository, "config.json")
    if config is None:
        raise _absent(repository, ["config.json"])
    folder = config.parent
    at_commit = f"{hf_split(repository)[0]}@{folder.name}"
    weights_file(at_commit)
    for name in beside:
        _fetch(at_commit, name)
    return folder


def statistics_of(repository: str) -> Statistics:
    """Those of the repository's config.json; empty where it has none. Raises as `weights_file`."""
    file = _fetch(repository, "config.json")
    return {} if file is None else statistics(file)


def _fetch(repository: str, filename: str) -> Path | None:
    """A file of a repository, downloaded unless the cache has it; None if there is no such file."""
    name, revision = hf_split(repository)
    what = f"hf-hub:{repository}"
    token = os.environ.get("HF_TOKEN") or False
    try:
        return Path(hf_hub_download(name, filename, revision=revision, token=token))
    except RepositoryNotFoundError as error:
        hint = "" if token else "; a private one needs HF_TOKEN (`secrets` in a pipeline)"
        raise ConfigError(f"{what}: there is no such repository, or it may not be read{hint}") from error
    except RevisionNotFoundError as error:
        raise ConfigError(f"{what}: the repository has no revision {revision!r}") from error
    except HFValidationError as error:
        raise ConfigError(f"{what}: not a repository's name: {error}") from error
    except LocalEntryNotFoundError as error:  # the Hub did not give it, and the cache has it not
        if _offline():
            return None
        raise _unanswered(f"{what}: {filename}", error.__cause__) from error
    except EntryNotFoundError:
        return None
    except HfHubHTTPError as error:
        raise _unanswered(f"{what}: {filename}", error) from error
    except (PermissionError, NotADirectoryError) as error:
        raise ConfigError(f"{what}: the cache cannot be written ({error}); set HF_HOME to a folder that can") from error
    except Exception as error:  # of the HTTP library beneath, or a disk: none of it is the user's to mend
        reason = str(error).partition("\n")[0]
        raise JobError(f"{what}: {filename} could not be fetched: {type(error).__name__}: {reason}") from error


def _absent(repository: str, names: Iterable[str]) -> WeightsError:
    where = "is not in the cache, and HF_HUB_OFFLINE is set" if _offline() else "is not there"
    return WeightsError(f"hf-hub:{repository}: none of {', '.join(names)} {where}")


def _unanswered(what: str, cause: BaseException | None) -> ConfigError | JobError:
    """Of a Hub that answers with an error, or not at all."""
    if not isinstance(cause, HfHubHTTPError):
        return JobError(f"{what} could not be fetched: the Hub does not answer ({type(cause).__name__})")
    status = cause.response.status_code
    if status in REFUSED:
        return ConfigError(f"{what} may not be read with this HF_TOKEN, or without one (HTTP {status})")
    return JobError(f"{what} could not be fetched: HTTP {status}")


def _offline() -> bool:
    return bool(constants.HF_HUB_OFFLINE)
