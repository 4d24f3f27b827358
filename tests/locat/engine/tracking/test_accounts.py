"""What the secrets of a shared MLflow server must say. What its accounts may do: tests/cluster/test_base.py."""

from unittest.mock import Mock, call

import mlflow.server
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS

from locat.engine.tracking import accounts


@pytest.fixture
def auth(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """MLflow's module, which only the server's image has all libraries of."""
    auth = Mock()
    auth.auth_config.admin_username, auth.auth_config.admin_password = "admin", "the administrator's"
    monkeypatch.setattr(mlflow.server, "auth", auth, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "locat")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "the jobs'")
    return auth


def test_accounts_are_what_the_secrets_say_whatever_they_were(auth: Mock) -> None:
    auth.store.has_user.side_effect = lambda name: name == "locat"
    auth.store.grant_user_resource_permission.side_effect = MlflowException("is there", RESOURCE_ALREADY_EXISTS)
    assert accounts.main() == 0
    assert auth.store.create_user.mock_calls == [call("admin", "the administrator's", True)]
    assert auth.store.update_user.mock_calls == [call("locat", "the jobs'", False)]
    assert {given.args[3] for given in auth.store.grant_user_resource_permission.mock_calls} == {"READ"}


def test_jobs_that_would_be_the_administrator_are_refused(
    auth: Mock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    assert accounts.main() == 2
    said = capsys.readouterr().err
    assert said.startswith("the secret mlflow-client names 'admin', who is MLflow's administrator; jobs need a user")
    assert not auth.store.mock_calls


def test_a_password_that_mlflow_does_not_take_is_told(auth: Mock, capsys: pytest.CaptureFixture[str]) -> None:
    auth.store.update_user.side_effect = MlflowException("Password must be longer")
    assert accounts.main() == 2
    assert capsys.readouterr().err == (
        "MLflow does not take 'admin' as a user: Password must be longer; correct the secret\n"
    )


def test_a_key_that_lacks_is_named(
    auth: Mock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    assert accounts.main() == 2
    assert capsys.readouterr().err == "the secret mlflow-client has no MLFLOW_TRACKING_PASSWORD; add it\n"
    assert not auth.store.mock_calls
