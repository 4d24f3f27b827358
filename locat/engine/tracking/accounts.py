"""`python -m locat.engine.tracking.accounts`: the accounts of a shared MLflow server, as its secrets have them.

Runs before each start of the server (k8s/base/mlflow.yaml), with the server's own variables. Jobs run anybody's code,
so their user is no administrator: it reads everything, writes to the experiments and models that it made, and deletes
none of them.
"""

import os
import sys
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from locat.contract.errors import UserError
from locat.contract.text import speak

if TYPE_CHECKING:
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

WITHHELD = ("review_queue", "registered_model_version")
"""Kinds of things, in experiments and in models, that jobs may only read.

Who makes an experiment or a model may do everything with it, but MLflow deletes one only for who may delete all kinds
of things in it. Jobs write neither of these: a version of a model is written when it is made, and never after.
"""


def settle(user: str, password: str) -> None:
    """Give the administrator, whom the server's configuration names, and the jobs' user passwords and rights.

    Whatever both were before: a server that is older may have made the jobs' user its administrator.

    Raises:
        UserError: they are the same user, or MLflow does not take a name or a password.
    """
    from mlflow.server import auth  # reads the server's variables when it is imported

    administrator = auth.auth_config.admin_username or ""
    if administrator == user:
        raise UserError(
            f"the secret mlflow-client names {user!r}, who is MLflow's administrator; jobs need a user of their own:"
            " correct MLFLOW_TRACKING_USERNAME"
        )
    auth.store.init_db(auth.auth_config.database_uri)
    _make(auth.store, administrator, auth.auth_config.admin_password or "", is_admin=True)
    _make(auth.store, user, password, is_admin=False)
    for kind in WITHHELD:
        try:
            auth.store.grant_user_resource_permission(user, kind, "*", "READ")
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _make(store: "SqlAlchemyStore", name: str, password: str, is_admin: bool) -> None:
    try:
        if store.has_user(name):
            store.update_user(name, password, is_admin)
        else:
            store.create_user(name, password, is_admin)
    except MlflowException as error:
        raise UserError(f"MLflow does not take {name!r} as a user: {error.message}; correct the secret") from error


def _said(key: str) -> str:
    if not (value := os.environ.get(key)):
        raise UserError(f"the secret mlflow-client has no {key}; add it")
    return value


def main() -> int:
    speak()
    try:
        settle(*map(_said, ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
