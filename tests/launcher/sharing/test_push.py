"""`launcher push`: what arrives is whole, loads as it did, and is sent once; each way to fail is one sentence."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import Result
from huggingface_hub import constants

from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from launcher.sharing import hub
from locat.config import Model
from locat.config.attach import Attach
from locat.models.create import create_model, save_model
from support import shared_runs, small_runs, training
from support.hub_server import Hub

CLASSIFIER = {"README.md", "config.json", "model.safetensors"}
SEGMENTER = {*CLASSIFIER, "head.safetensors", "segmentation.json"}
TOKEN = "hf_of_this_test"
LOAD = """
import json, sys
import timm, torch

torch.manual_seed(0)
images = torch.rand(2, 3, 32, 32)
found = {}
for folder, repository in json.loads(sys.argv[1]).items():
    if repository != "lab/plain":
        import locat.models
    one, other = (timm.create_model(source, pretrained=True).eval()
                  for source in (f"local-dir:{folder}", f"hf-hub:{repository}"))
    with torch.no_grad():
        found[repository] = torch.equal(one(images), other(images)) and one(images).abs().sum().item() > 0

import locat
from locat.config.weights import Init
from locat.weights.source import read

classifier = timm.create_model("hf-hub:lab/classify", pretrained=False)
weights = read(Init(source="hf-hub:lab/classify"), classifier, "")
found["init"] = all(torch.equal(weights.tensors[name], one) for name, one in
                    timm.create_model("hf-hub:lab/classify", pretrained=True).state_dict().items())
(folder,) = [folder for folder, repository in json.loads(sys.argv[1]).items() if repository == "lab/segment"]
pixels = (images[0].permute(1, 2, 0) * 255).byte().numpy()
(one,), (other,) = (locat.Model.from_source(source).segment([pixels]) for source in (folder, "hf-hub:lab/segment"))
found["mask"] = bool((one == other).all())
print(json.dumps(found))
"""


def push(run: RunFolder, job: str = "classify-0", to: str = "hf:lab/tiny", *words: str) -> Result:
    return small_runs.cli(run, "push", f"{run.name}/{job}", to, "--licence", "mit", *words)


def pushed(run: RunFolder, job: str = "classify-0", to: str = "hf:lab/tiny", *words: str) -> str:
    result = push(run, job, to, *words)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def failed(code: int, run: RunFolder, *words: str) -> str:
    """The last line of what is said of a push that fails."""
    result = push(run, "classify-0", "hf:lab/tiny", *words)
    assert result.exit_code == code and result.stdout == "" and "Traceback" not in result.stderr, result.output
    assert TOKEN not in result.stderr and "signature" not in result.stderr
    return result.stderr.splitlines()[-1]


def names(server: Hub, repository: str = "lab/tiny") -> set[str]:
    return {path.removeprefix(f"{repository}/") for path in server.files if path.startswith(f"{repository}/")}


@pytest.mark.slow
def test_what_is_pushed_is_loaded_by_timm_by_init_and_by_predict(
    run: RunFolder, server: Hub, models: Path, tmp_path: Path
) -> None:
    jobs = {
        **{"classify-1": "lab/plain", "classify-2": "lab/attached"},
        **{"classify-0": "lab/classify", "features": "lab/features", "segment": "lab/segment"},
    }
    for job, attach in {"classify-1": None, "classify-2": Attach(init="paper")}.items():
        model = create_model(Model(name="vit_tiny_patch16_224", args=training.TINY_VIT, attach=attach))
        torch.nn.init.normal_(model.head.weight)
        save_model(model, run.job(job).outputs)
    for job, repository in jobs.items():
        pushed(run, job, f"hf:{repository}")
    assert names(server, "lab/classify") == CLASSIFIER and names(server, "lab/segment") == SEGMENTER
    folders = {str(run.job(job).outputs): repository for job, repository in jobs.items()}
    environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": TOKEN}
    command = [sys.executable, "-c", LOAD, json.dumps(folders)]
    loaded = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(loaded.stdout) == dict.fromkeys([*jobs.values(), "init", "mask"], True)


def test_all_files_are_one_commit_and_the_same_again_is_none(run: RunFolder, server: Hub) -> None:
    told = pushed(run, "segment")
    commit = server.uploads.head("lab/tiny")[:12]
    assert told.startswith("pushed ") and f"to {server.url}/lab/tiny, commit {commit}: config.json, " in told
    assert server.uploads.commits["lab/tiny"] == ["Model of segment"]
    before = dict(server.files)
    assert pushed(run, "segment") == f"nothing to push: {server.url}/lab/tiny has all of it\n"
    assert len(server.uploads.commits["lab/tiny"]) == 1 and len(server.uploads.received) == 2
    assert server.files == before


def test_another_model_leaves_nothing_of_the_one_before(run: RunFolder, server: Hub) -> None:
    pushed(run, "segment")
    server.files["lab/tiny/notes.md"] = b"somebody's own"
    told = pushed(run, "classify-0")
    assert told.splitlines()[1] == (
        "removed from there, since this model has none: head.safetensors, segmentation.json"
    )
    assert names(server) == {*CLASSIFIER, "notes.md"}


def test_a_broken_transfer_leaves_no_half_and_goes_on_later(run: RunFolder, server: Hub) -> None:
    weights, head = (
        hashlib.sha256((run.job("segment").outputs / name).read_bytes()).hexdigest()
        for name in ("model.safetensors", "head.safetensors")
    )
    server.uploads.cut, server.uploads.larger = 1000, (run.job("segment").outputs / "head.safetensors").stat().st_size
    broken = push(run, "segment")
    assert broken.exit_code == 1 and "Traceback" not in broken.stderr and "signature" not in broken.stderr
    assert "hf:lab/tiny: the transfer broke" in broken.stderr.splitlines()[-1]
    assert broken.stderr.splitlines()[-1].endswith("push again: what has arrived is not sent twice")
    assert names(server) == set() and server.uploads.received == [head]
    server.uploads.cut = 0
    pushed(run, "segment")
    assert server.uploads.received == [head, weights] and names(server) == SEGMENTER


def test_a_transfer_that_breaks_once_goes_on_by_itself(run: RunFolder, server: Hub) -> None:
    server.uploads.cut = 1
    result = push(run)
    assert result.exit_code == 0 and names(server) == CLASSIFIER
    assert "Retrying in 1s" in result.stderr.splitlines()[-1] and "signature" not in result.stderr


def test_the_token_is_the_environments_and_is_told_to_the_hub_alone(
    run: RunFolder, server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed(run)
    told = {(method == "PUT", token) for method, path, token in server.asked}
    assert told == {(True, ""), (False, TOKEN)}
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    assert failed(2, run) == (
        "hf:lab/tiny: the Hub does not know HF_TOKEN (HTTP 401): it is mistyped, or has expired: "
        "Invalid username or password."
    )
    monkeypatch.delenv("HF_TOKEN")
    server.asked.clear()
    assert failed(2, run) == (
        "hf:lab/tiny: HF_TOKEN is not set; export a token that may write there,"
        f" which {server.url}/settings/tokens makes"
    )
    monkeypatch.setenv("HF_TOKEN", "hf_a\nb")
    assert "HF_TOKEN holds characters that no token has" in failed(2, run)
    assert server.asked == []


@pytest.mark.parametrize(
    ("path", "status", "code", "words"),
    [
        ("/commit/", 401, 2, "the Hub does not know HF_TOKEN (HTTP 401)"),
        ("/commit/", 403, 2, "HF_TOKEN may not write there (HTTP 403); it needs that right for lab"),
        ("repos/create", 403, 2, "HF_TOKEN may not write there (HTTP 403); it needs that right for lab: said hf"),
        ("/preupload/", 404, 2, "is not there, or HF_TOKEN may not see it (HTTP 404)"),
        ("/commit/", 409, 1, "was changed by somebody else meanwhile (HTTP 409); look at it and push again"),
        ("/commit/", 412, 1, "was changed by somebody else meanwhile (HTTP 412)"),
        ("/commit/", 422, 2, "the Hub refuses it (HTTP 422): said hf"),
        ("/commit/", 500, 1, "the Hub fails or has too much to do (HTTP 500); push again"),
        ("repos/create", 503, 1, "the Hub fails or has too much to do (HTTP 503)"),
        ("/batch", 429, 1, "the Hub fails or has too much to do (HTTP 429)"),
        ("?signature", 403, 1, "the Hub fails or has too much to do (HTTP 403)"),
        ("/verify", 404, 1, "the Hub fails or has too much to do (HTTP 404)"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(
    run: RunFolder, server: Hub, path: str, status: int, code: int, words: str
) -> None:
    server.uploads.refuses[path] = (status, f"said hf\x1b[31m to {TOKEN}")
    assert words in failed(code, run)
    assert names(server) == set()


def test_a_licence_that_the_hub_does_not_know_is_told(run: RunFolder, server: Hub) -> None:
    told = failed(2, run, "--licence", "mine-1.0")
    assert told.startswith('hf:lab/tiny: the Hub does not take the card: "license" must be one of [apache-2.0, ')
    assert not server.uploads.received
    pushed(run, "classify-0", "hf:lab/tiny", "--license", "Apache-2.0")
    assert b"license: apache-2.0\n" in server.files["lab/tiny/README.md"]


def test_a_hub_that_is_silent_is_waited_for_with_an_end(
    run: RunFolder, server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "TIMEOUT", 0.2)
    server.delay = 1.0
    assert "has been silent for 0.2 s; push again" in failed(1, run)


def test_a_hub_that_is_not_there_or_is_none(run: RunFolder, server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for endpoint, code, words in (
        ("http://127.0.0.1:9", 1, "http://127.0.0.1:9/ cannot be reached ("),
        ("nonsense", 2, "HF_ENDPOINT is no address"),
        (f"{server.url}/elsewhere/61/x", 2, "HTTP 404"),
    ):
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        assert words in failed(code, run)
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    server.status = 302  # to nowhere, and without an answer's body
    assert "does not answer as a Hub does" in failed(1, run)


def test_offline_nothing_is_sent(run: RunFolder, server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert failed(2, run) == "hf:lab/tiny: HF_HUB_OFFLINE is set, so nothing is sent; unset it"
    assert server.asked == []


def test_private_is_never_published(run: RunFolder, server: Hub) -> None:
    pushed(run, "classify-0", "hf:lab/mine", "--private")
    assert server.uploads.private == {"lab/mine"}
    pushed(run, "classify-0", "hf:lab/tiny")
    server.uploads.received.clear()
    server.uploads.objects.clear()
    assert failed(2, run, "--private") == (
        "hf:lab/tiny is there and public; make it private on the Hub first, or leave out --private"
    )
    assert not server.uploads.received


def test_who_pushes_meanwhile_is_not_mixed_with(run: RunFolder, server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = iter(["2" * 40, "3" * 40])
    with monkeypatch.context() as patched:
        patched.setattr(type(server.uploads), "head", lambda self, repository: next(heads))
        assert "was changed by somebody else meanwhile (HTTP 412)" in failed(1, run)


def test_a_link_that_takes_a_files_place_after_the_check_is_not_followed(
    run: RunFolder, server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap(repository: str) -> str:
        weights = run.job("classify-0").outputs / "model.safetensors"
        weights.rename(tmp_path / "secret")
        weights.symlink_to(tmp_path / "secret")
        return TOKEN

    monkeypatch.setattr(hub, "_token", swap)
    assert "model.safetensors: is no file that can be shared" in failed(2, run)
    assert names(server) == set()


def test_a_dry_run_prints_all_and_sends_nothing(run: RunFolder, server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    lines = pushed(run, "segment", "hf:lab/tiny", "--dry-run").splitlines()
    assert lines[0] == "hf:lab/tiny would get:"
    assert [line.split()[0] for line in lines[1:6]] == [
        *("config.json", "model.safetensors", "head.safetensors", "segmentation.json", "README.md")
    ]
    assert lines[6:9] == ["", "---", "license: mit"]
    assert server.asked == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("test", "hf:lab/tiny"), "'test': write RUN/JOB"),
        (("test/classify-9", "hf:lab/tiny"), "no job 'classify-9' in run test; did you mean"),
        (("test/convert", "hf:lab/tiny"), "test/convert is queued: a model is shared once its job is done"),
        (("test/classify-0", "lab/tiny"), "'lab/tiny' is no repository; write hf:OWNER/NAME"),
        (("test/classify-0", "hf:lab/tiny@v1"), "is no repository"),
        (("test/classify-0", "hf:lab/../x"), "is no repository"),
        (("test/classify-0", "hf:lab/tiny", "--licence", "my own"), "'my own' names no licence"),
    ],
)
def test_what_is_mistyped_is_told_before_anything_is_sent(
    run: RunFolder, server: Hub, words: tuple[str, ...], told: str
) -> None:
    licence = () if "--licence" in words else ("--licence", "mit")
    result = small_runs.cli(run, "push", *words, *licence)
    assert result.exit_code == 2 and told.split()[0] in result.output and server.asked == []
    assert told in " ".join(result.stderr.split()) or told in result.stderr


def test_the_licence_must_be_given(run: RunFolder) -> None:
    result = small_runs.cli(run, "push", "test/classify-0", "hf:lab/tiny", "--dry-run")
    assert result.exit_code == 2 and "Missing option '--licence'" in result.stderr


def test_a_job_without_a_whole_model_of_its_own_is_refused(run: RunFolder, server: Hub, tmp_path: Path) -> None:
    outputs = run.job("classify-0").outputs
    JobState(Status.DONE, 1).write(run.job("convert").state)
    refused = small_runs.cli(run, "push", "test/convert", "hf:lab/tiny", "--licence", "mit").stderr
    assert "test/convert has left no config.json and no model.safetensors; jobs of the run that have left" in refused
    whole = (outputs / "model.safetensors").read_bytes()
    (outputs / "model.safetensors").write_bytes(whole[:-4])
    assert "it is cut short" in failed(2, run)
    (outputs / "model.safetensors").write_bytes(b"x" * 100)
    assert "no tensors" in failed(2, run)
    (outputs / "model.safetensors").unlink()
    secret = tmp_path / "secret"
    secret.write_bytes(whole)
    (outputs / "model.safetensors").symlink_to(secret)
    assert "is no file that can be shared" in failed(2, run)
    (outputs / "config.json").write_text("[]")
    assert "not a JSON object" in failed(2, run)
    (outputs / "config.json").write_text("{}")
    assert "names no architecture" in failed(2, run)
    (run.job("segment").outputs / "head.safetensors").unlink()
    assert "half of a segmentation model" in push(run, "segment").stderr
    assert server.asked == []


def test_nothing_of_the_library_is_imported_for_help_or_a_dry_run(run: RunFolder) -> None:
    words = ["push", "test/classify-0", "hf:lab/tiny", "--licence=mit", "--dry-run", f"--runs-dir={run.path.parent}"]
    code = (
        f"import sys; from launcher.cli import cli; cli({words!r}, standalone_mode=False); "
        "sys.exit('huggingface_hub' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_run_is_only_read(run: RunFolder, server: Hub) -> None:
    def state() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in run.path.parent.rglob("*")}

    before = state()
    pushed(run)
    assert state() == before and shared_runs.DIGEST in server.files["lab/tiny/README.md"].decode()
