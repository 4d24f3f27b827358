"""A SQLite store made whole, or not at all: `python -m locat.engine.tracking.store URI`.

MLflow makes its tables one by one, each for good. Killed meanwhile it leaves a store that it then neither finishes nor
opens. So the tables are made in memory, and copied into the file in one transaction of SQLite.
"""

import fcntl
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from locat.contract import filesystem
from locat.contract.errors import UserError
from locat.contract.tracking_uri import artifact_folder, file_of
from locat.engine.tracking.environment import settle

FILLED = ("experiments", "runs", "registered_models")
"""Tables of which the first has a row as soon as MLflow has opened a whole store. Half-made ones have none in any."""
PATIENCE = 20.0
"""Seconds to wait for others who read or write."""


def ensure(uri: str) -> None:
    """Let the store that `uri` names be whole, if it is a SQLite file; what is in one is kept.

    Raises:
        OSError, sqlite3.Error: it cannot be written now.
    """
    file = file_of(uri)
    if file is None or is_whole(file):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(filesystem.open_lock(file.with_name(f"{file.name}.lock")), "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        if not is_whole(file):
            _make(uri, file)


def ensure_there(uri: str) -> None:
    """Raise UserError if `uri` is the URI of a SQLite file that is not there: who only reads must not make one."""
    file = file_of(uri)
    if file is not None and not file.exists():
        raise UserError(f"{file}: no such store; was it moved, or is it on another machine?")


def is_whole(file: Path) -> bool:
    """Whether MLflow has made all its tables in this file; true also of what is no such store, which is left alone."""
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=PATIENCE)) as store:
            tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return any(
                store.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in tables.intersection(FILLED)
            )
    except sqlite3.Error:
        return True


def _make(uri: str, file: Path) -> None:
    """Make the store, over what there is of one."""
    made = SqlAlchemyStore("sqlite+pysqlite:///:memory:", artifact_folder(uri))
    try:
        with (
            closing(made.engine.raw_connection()) as whole,
            closing(sqlite3.connect(file, timeout=PATIENCE)) as written,
        ):
            connection = whole.driver_connection
            assert isinstance(connection, sqlite3.Connection)
            connection.backup(written)
    finally:
        made.engine.dispose()  # and with it the memory


if __name__ == "__main__":
    settle(sys.argv[1])
    ensure(sys.argv[1])
