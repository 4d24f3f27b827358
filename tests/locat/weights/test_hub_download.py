"""Weights from a hub: found, cached, and each way to fail in one sentence of the right kind."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save

from locat.config.weights import Init
from locat.contract.errors import ConfigError, JobError, WeightsError
from locat.weights import hub
from locat.weights.source import read
from support.hub_server import COMMIT, Hub, hub_server

WEIGHTS = {"head.weight": torch.arange(200_000.0)}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """It holds lab/tiny; the cache is empty, and there is no token."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    (tmp_path / "token").write_text("hf_of_a_file")
    with hub_server() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        template = f"{found.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        config = json.dumps(
            {"architecture": "vit_tiny_patch16_224", "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]}}
        )
        found.files = {"lab/tiny/model.safetensors": save(WEIGHTS), "lab/tiny/config.json": config.encode()}
        yield found


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_weights_come_through_a_redirect_with_their_description(server: Hub) -> None:
    found = read(Init(source="hf-hub:lab/tiny"), None, "")
    assert torch.equal(found.tensors["head.weight"], WEIGHTS["head.weight"])
    assert found.statistics["mean"] == [0.1, 0.2, 0.3]
    assert any(path.startswith("/elsewhere/") for _, path, _ in server.asked)


def test_what_is_cached_is_not_downloaded_again(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    file = hub.weights_file("lab/tiny")
    server.asked.clear()
    assert hub.weights_file("lab/tiny") == file
    assert {method for method, _, _ in server.asked} == {"HEAD"}
    offline(monkeypatch)
    server.status = 500
    assert hub.weights_file(f"lab/tiny@{COMMIT}") == hub.weights_file("lab/tiny") == file


def test_a_changed_repository_is_seen_by_its_etag(server: Hub) -> None:
    first = hub.weights_file("lab/tiny").read_bytes()
    server.files["lab/tiny/config.json"] = json.dumps({"pretrained_cfg": {"mean": [0.5, 0.5, 0.5]}}).encode()
    assert hub.weights_file("lab/tiny").read_bytes() == first
    assert hub.statistics_of("lab/tiny")["mean"] == [0.5, 0.5, 0.5]


def test_pickled_weights_are_taken_where_there_is_no_safetensors(server: Hub, tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "file.bin")
    server.files = {"lab/tiny/pytorch_model.bin": (tmp_path / "file.bin").read_bytes()}
    assert hub.weights_file("lab/tiny").name == "pytorch_model.bin"
    assert hub.statistics_of("lab/tiny") == {}


def test_a_models_files_lie_in_one_folder_and_are_of_one_commit(server: Hub, tmp_path: Path) -> None:
    server.files["lab/tiny/head.safetensors"] = save(WEIGHTS)
    folder = hub.model_folder("lab/tiny", ("head.safetensors", "segmentation.json"))
    assert {path.name for path in folder.iterdir()} == {"config.json", "head.safetensors", "model.safetensors"}
    asked = [path for _, path, _ in server.asked if not path.startswith("/elsewhere/")]
    assert all(f"/{COMMIT}/" in path for path in asked if not path.endswith("config.json"))
    server.files["lab/bare/model.safetensors"] = save(WEIGHTS)
    with pytest.raises(WeightsError, match=r"hf-hub:lab/bare: none of config\.json is not there"):
        hub.model_folder("lab/bare")


def test_a_broken_transfer_goes_on_where_it_broke(server: Hub) -> None:
    server.cut = 1
    assert hub.weights_file("lab/tiny").read_bytes() == server.files["lab/tiny/model.safetensors"]


def test_a_transfer_that_stays_broken_is_tried_again_and_leaves_no_file(server: Hub, tmp_path: Path) -> None:
    server.cut = 1000
    with pytest.raises(JobError, match=r"hf-hub:lab/tiny: model.safetensors could not be fetched"):
        hub.weights_file("lab/tiny")
    assert not list((tmp_path / "cache").rglob("snapshots/*/model.safetensors"))


@pytest.mark.parametrize(
    ("repository", "kind", "words"),
    [
        ("lab/none", ConfigError, "no such repository, or it may not be read; a private one needs HF_TOKEN"),
        ("lab/tiny@v9", ConfigError, "no revision 'v9'"),
        ("lab/empty", WeightsError, r"none of model.safetensors, pytorch_model.bin is not there"),
    ],
)
def test_what_the_user_can_mend_is_no_failure(server: Hub, repository: str, kind: type, words: str) -> None:
    server.files["lab/empty/README.md"] = b"nothing"
    with pytest.raises(kind, match=words):
        hub.weights_file(repository)


def test_a_token_comes_from_the_environment_alone(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.weights_file("lab/tiny")
    assert {token for _, _, token in server.asked} == {""}  # not that of the file
    server.token = "hf_secret"
    with pytest.raises(ConfigError, match="needs HF_TOKEN"):
        hub.statistics_of("lab/tiny")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert hub.statistics_of("lab/tiny")


def test_a_server_that_fails_is_tried_again(server: Hub) -> None:
    server.status = 501
    with pytest.raises(JobError, match="HTTP 501"):
        hub.weights_file("lab/tiny")
    server.status = 403
    with pytest.raises(ConfigError, match="HTTP 403"):
        hub.weights_file("lab/tiny")


def test_offline_without_a_copy_is_the_users_to_mend(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch)
    with pytest.raises(WeightsError, match="is not in the cache, and HF_HUB_OFFLINE is set"):
        hub.weights_file("lab/tiny")
    assert server.asked == []


def test_a_cache_that_cannot_be_written_serves_what_it_has(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = hub.weights_file("lab/tiny")

    def read_only(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "cache"))

    monkeypatch.setattr("os.makedirs", read_only)
    assert hub.weights_file("lab/tiny") == file
    with pytest.raises(ConfigError, match=r"the cache cannot be written .*; set HF_HOME"):
        hub.statistics_of("lab/tiny")
