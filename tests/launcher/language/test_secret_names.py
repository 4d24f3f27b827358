"""Variables that are called like a secret."""

import pytest

from locat.contract.credentials import SECRET_NAME


@pytest.mark.parametrize(
    "name",
    [
        *("HF_TOKEN", "DB_PASS", "PGPASS", "PGPASSWORD", "PASS", "AUTH", "BASIC_AUTH", "OAUTH", "BEARER", "CREDS"),
        *("REGISTRY_CREDS", "API_KEY", "APIKEY", "DB_PWD", "AWS_SECRET_ACCESS_KEY", "MY_BEARER_X", "GIT_CRED"),
    ],
)
def test_they_are_taken_for_one(name: str) -> None:
    assert SECRET_NAME.search(name)


@pytest.mark.parametrize(
    "name",
    ["PATH", "BYPASS", "COMPASS_DIR", "AUTHOR", "AUTH_METHOD", "PWD", "PASSES", "CUDA_VISIBLE_DEVICES", "CREDITS"],
)
def test_these_are_not(name: str) -> None:
    assert not SECRET_NAME.search(name)
