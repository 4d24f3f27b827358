"""Where MLflow is: what a tracking URI may be, and the one way from a file's path to its URI and back.

A SQLite store's URI is `sqlite:///` and the absolute path. `%` and `?` mean something in a URI and stand as `%25` and
`%3F`; the driver is then named as well, for MLflow takes the path of a URI that begins with `sqlite:///` as it stands,
and makes folders by it. Nothing else is quoted: what people read is the path.
"""

import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from locat.contract.errors import UserError

SERVERS = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
LONGEST_EXPERIMENT = 500
"""Characters that MLflow takes for an experiment's name."""
IGNORED = (
    "MLFLOW_ENABLE_ASYNC_LOGGING",  # a request would be taken for answered before it is sent
    "MLFLOW_ENABLE_WORKSPACES",  # of a store's server; a SQLite file would be read as another kind of store
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_CONTEXT",
    "MLFLOW_RUN_ID",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS",
    "MLFLOW_TRACKING_URI",
)
"""Variables that a job does not heed: the pipeline says what they would. Credentials, certificates and time limits are
the shell's."""
_SQLITE = re.compile(r"sqlite(\+pysqlite)?:///(?P<path>[^?]*)", re.DOTALL)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ufffe\uffff]")
_LOGIN = re.compile(r"(user|uid|pass|pwd|token|secret|cred)[\w-]*\s*=", re.IGNORECASE)
_EXAMPLES = "http://SERVER:5000 or sqlite:///FILE.db"


def of_file(path: Path) -> str:
    """The URI of the SQLite store in the file at an absolute path.

    Raises:
        UserError: the path is not UTF-8, which no URI can hold.
    """
    check_path(path)
    plain = str(path)
    quoted = plain.replace("%", quote("%")).replace("?", quote("?"))
    return f"sqlite:///{plain}" if quoted == plain else f"sqlite+pysqlite:///{quoted}"


def file_of(uri: str) -> Path | None:
    """The file of a SQLite store, as `uri` says: a relative path stays one. None for any other store."""
    found = _SQLITE.fullmatch(uri)
    return Path(unquote(found["path"])) if found else None


def artifact_folder(uri: str) -> str | None:
    """The URI of where a store's artifacts go: beside a SQLite file, and where a server decides, None."""
    file = file_of(uri)
    return None if file is None else (file.absolute().parent / "mlartifacts").as_uri()


def located(uri: str, folder: Path | None) -> str:
    """`uri`; of a SQLite store at a path below `folder`, or with `~`, the URI of the absolute path.

    Raises:
        ValueError: there is no such user as `~` names.
    """
    file = file_of(uri)
    return uri if file is None else of_file(located_path(file, folder))


def located_path(path: Path, folder: Path | None) -> Path:
    """A path as a pipeline has it: `~` expanded, and what is relative below `folder`, if there is one.

    Raises:
        ValueError: there is no such user as `~` names.
    """
    try:
        path = path.expanduser()
    except RuntimeError:
        raise ValueError(f"no home folder of {path.parts[0]!r}; write the path out") from None
    return path if folder is None else folder / path


def is_of_this_machine(uri: str) -> bool:
    """Whether it names a file by a path that only this machine knows: a relative one, or below a home folder."""
    file = file_of(uri)
    return file is not None and (not file.is_absolute() or file.parts[0].startswith("~"))


def check_path(path: Path) -> None:
    """Raise UserError if MLflow, YAML and JSON cannot all hold this path."""
    try:
        text = str(path).encode().decode()
    except UnicodeEncodeError:
        raise UserError(f"{str(path)!a}: not UTF-8; give a folder whose whole path is") from None
    if _UNPRINTABLE.search(text):
        raise UserError(f"{text!a}: holds characters that cannot be printed; give a folder without")


def checked(uri: str) -> str:
    """`uri`, if MLflow can be reached by it.

    Raises:
        ValueError: it cannot; says why, and what to write instead.
    """
    scheme, colon, _ = uri.partition("://")
    if not colon or not re.fullmatch(r"[a-z][a-z0-9]*(\+[a-z0-9]+)?", scheme):
        raise ValueError(_unlike_a_uri(uri))
    kind = scheme.partition("+")[0]
    if kind not in DATABASES and scheme not in (*SERVERS, "databricks"):
        raise ValueError(f"MLflow has no store {scheme!r}; write {_EXAMPLES}")
    if any(character.isspace() for character in uri) and kind != "sqlite":
        raise ValueError("holds a space; write it without")
    if kind != "sqlite" and _has_credentials(uri):
        raise ValueError("holds credentials; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead")
    if scheme in SERVERS:
        _check_server(uri)
    if kind == "sqlite":
        _check_sqlite(uri)
    return uri


def _has_credentials(uri: str) -> bool:
    """Whether any part of it may hold some: a password may hold a `/`, a driver takes one in the query."""
    before, _, query = uri.partition("?")
    return "@" in before or _LOGIN.search(unquote(unquote(query))) is not None


def checked_experiment(name: str) -> str:
    """`name`, if MLflow takes it for an experiment.

    Raises:
        ValueError: it does not.
    """
    if not name.strip():
        raise ValueError("an experiment's name cannot be blank; leave it out to take the pipeline's")
    if len(name) > LONGEST_EXPERIMENT:
        raise ValueError(f"{len(name)} characters; MLflow takes {LONGEST_EXPERIMENT} for an experiment's name")
    return name


def _unlike_a_uri(uri: str) -> str:
    if re.match(r"(localhost|[\w.-]+\.[\w.-]+|\[[0-9a-fA-F:]+\]):[0-9]+(/|$)", uri) or re.match(r"https?:", uri):
        return f"not a URI; did you mean 'http://{re.sub('^https?:/*', '', uri)}'?"
    if uri.startswith("sqlite:"):
        file = uri.removeprefix("sqlite:").lstrip("/") or "mlflow.db"
        return f"not a URI; did you mean 'sqlite:///{file}'?"
    scheme, colon, rest = uri.partition("://")
    if colon and scheme != scheme.lower():
        return f"not a URI; did you mean '{scheme.lower()}://{rest}'?"
    if colon or re.match(r"[a-z0-9+]+:", uri):
        return f"not a URI of MLflow's; write {_EXAMPLES}"
    folder = uri.rstrip("/") or "."
    return f"a folder, to which MLflow writes no more; did you mean 'sqlite:///{folder}/mlflow.db'?"


def _check_server(uri: str) -> None:
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"not a URI: {error}; write {_EXAMPLES}") from None
    if not host:
        raise ValueError("names no host; write http://SERVER:5000")
    if parts.query or parts.fragment or uri.endswith(("?", "#")):
        raise ValueError("has more than a host and a path; leave out '?' and '#' and what follows")


def _check_sqlite(uri: str) -> None:
    file = file_of(uri)
    if file is None:
        raise ValueError("not a SQLite file's URI: sqlite:/// and its path, in which '?' is written %3F")
    if str(file) in (".", ":memory:") or uri.endswith("/"):
        raise ValueError("names no file, and each process would have a store of its own; write sqlite:///FILE.db")
    check_path(file)
