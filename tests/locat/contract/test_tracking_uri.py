"""Paths to URIs and back, and what a tracking URI may be."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from locat.contract.errors import UserError
from locat.contract.tracking_uri import artifact_folder, checked, file_of, located, located_path, of_file

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="/"), min_size=1)
HOSTILE = st.sampled_from(["%20", "a?x=1", "#", "é", " a ", "100%", ":memory:", "a@b:c", "\u3000"])
PATHS = st.lists(NAMES.filter(lambda name: name not in (".", "..")) | HOSTILE, min_size=1)


@given(PATHS)
def test_every_path_comes_back_from_its_uri(names: list[str]) -> None:
    path = Path("/", *names)
    uri = of_file(path)
    assert file_of(uri) == path
    assert make_url(uri).database == str(path)  # what MLflow's database driver opens
    assert checked(uri) == uri and located(uri, Path("/elsewhere")) == uri


@given(st.binary(min_size=1, max_size=8).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_any_bytes_that_a_name_may_hold_make_a_uri_or_a_sentence(name: bytes) -> None:
    path = Path("/runs", os.fsdecode(name), "mlflow.db")
    try:
        uri = of_file(path)
    except UserError as error:
        assert "give a folder" in str(error)
    else:
        assert file_of(uri) == path


def test_a_plain_path_stands_in_its_uri_as_it_is() -> None:
    assert of_file(Path("/my runs/mlflow.db")) == "sqlite:////my runs/mlflow.db"
    assert of_file(Path("/a%20b?x=1/mlflow.db")) == "sqlite+pysqlite:////a%2520b%3Fx=1/mlflow.db"
    assert artifact_folder("sqlite:////a%2520b/mlflow.db") == "file:///a%2520b/mlartifacts"
    assert artifact_folder("http://a") is None


def test_a_relative_store_is_in_the_folder_of_the_file_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert located("sqlite:///my.db", Path("/yaml")) == "sqlite:////yaml/my.db"
    assert located("sqlite:///~/my.db", Path("/yaml")) == "sqlite:////home/me/my.db"
    assert located("http://a:1", Path("/yaml")) == "http://a:1"
    assert located_path(Path("data/x"), Path("/yaml")) == Path("/yaml/data/x")
    with pytest.raises(ValueError, match="no home folder of '~nobody-here'"):
        located_path(Path("~nobody-here/x"), Path("/yaml"))


@pytest.mark.parametrize(
    "uri",
    [
        *("http://localhost:5000", "https://mlflow.example/team", "http://[::1]:5000", "sqlite:///my.db"),
        *("sqlite:////a b.db", "postgresql://db/mlflow", "mysql+pymysql://db:3306/mlflow", "databricks://profile"),
        *("postgresql://db/mlflow?sslmode=verify-full", "sqlite:////a@b/c.db"),
    ],
)
def test_what_mlflow_takes_is_taken(uri: str) -> None:
    assert checked(uri) == uri


@pytest.mark.parametrize(
    ("uri", "remedy"),
    [
        ("localhost:5000", "did you mean 'http://localhost:5000'"),
        ("10.0.0.1:5000/x", "did you mean 'http://10.0.0.1:5000/x'"),
        ("mlflow.example:80", "did you mean 'http://mlflow.example:80'"),
        ("http:/host", "did you mean 'http://host'"),
        ("mlruns", "did you mean 'sqlite:///mlruns/mlflow.db'"),
        ("/data/mlruns/", "did you mean 'sqlite:////data/mlruns/mlflow.db'"),
        ("", "a folder"),
        ("file:///data/mlruns", "no store 'file'"),
        ("http://", "names no host"),
        ("http://:5000", "names no host"),
        ("http://host:port", "not a URI"),
        ("http://[::1", "not a URI"),
        ("http://host:5000/#/experiments/3", "leave out"),
        ("http://my host", "holds a space"),
        ("ftp://host", "no store 'ftp'"),
        ("htp://host", "no store 'htp'"),
        ("HTTP://host", "did you mean 'http://host'"),
        ("http://me:word@host", "holds credentials"),
        ("postgresql://me:word@host/db", "holds credentials"),
        ("http://me:pass/word@host", "holds credentials"),
        ("http://host/me:word@x", "holds credentials"),
        ("postgresql://host/db?user=me&password=word", "holds credentials"),
        ("mysql+pymysql://host/db?charset=utf8&passwd=word", "holds credentials"),
        ("mssql+pyodbc:///?odbc_connect=SERVER%3Dhost%3BUID%3Dme%3BPWD%3Dword", "holds credentials"),
        ("sqlite:my.db", "did you mean 'sqlite:///my.db'"),
        ("sqlite://my.db", "not a SQLite file's URI"),
        ("sqlite:///my.db?mode=ro", "written %3F"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///folder/", "names no file"),
    ],
)
def test_what_mlflow_never_takes_is_refused_with_the_remedy(uri: str, remedy: str) -> None:
    with pytest.raises(ValueError) as error:
        checked(uri)
    assert remedy in str(error.value)
