"""The model card: one of a run with three seeds, word for word; and what a run may hold that no page is to show."""

import json
import os
import pwd
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from launcher.runs.folder import RunFolder
from launcher.sharing import card as cards
from launcher.sharing.card import card
from launcher.sharing.model import shared
from launcher.sharing.public import PATH, URL, Public, fenced
from support import shared_runs
from support.documents import ROOT

GOLDEN = Path(__file__).parents[1] / "golden" / "card.md"
SECRET = "correct horse battery"


def of(run: RunFolder, job: str) -> str:
    return card(shared(run.path.parent, f"{run.name}/{job}"), "lab/cats", "mit")


def front(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_a_card_of_three_seeds_is_as_it_was(run: RunFolder) -> None:
    assert of(run, "classify-1") == GOLDEN.read_text()


def test_a_seed_that_is_not_done_does_not_count(run: RunFolder) -> None:
    run.job("classify-2").state.unlink()
    run.job("classify-2").metrics.mkdir()  # nor is its log of any use
    assert "| `top1` | 71.00 | 70.50 ± 0.71 |" in of(run, "classify-1")
    run.job("classify-0").results.unlink()
    assert "| `top1` | 71.00 |\n" in of(run, "classify-1")
    run.job("classify-1").results.unlink()
    assert "## Numbers" not in of(run, "classify-1") and "metrics" not in front(of(run, "classify-1"))


def test_kinds_of_models_are_told_apart(run: RunFolder) -> None:
    segmenter, features = of(run, "segment"), of(run, "features")
    assert front(segmenter)["pipeline_tag"] == "image-segmentation" and front(segmenter)["metrics"] == ["mean_iou"]
    assert front(features)["pipeline_tag"] == "image-feature-extraction" and "metrics" not in front(features)
    assert "| classes | 2: sky, road |\n| protocol | exact |" in segmenter and "--masks masks" in segmenter
    assert "embeddings = model.embed(images)" in features
    config = run.job("features").outputs / "config.json"
    attached = (
        config.read_text()
        .replace('"architecture": "locatvit_tiny"', '"architecture": "locat_attached"')
        .replace('"model_args": {', '"model_args": {"base": "vit_tiny_patch16_224", "prr": false,')
    )
    config.write_text(attached)
    assert "`vit_tiny_patch16_224`, with LocAt (GAug): an image model of timm" in of(run, "features")
    config.write_text(attached.replace('"locat_attached"', '"vit_tiny_patch16_224"'))
    assert "`vit_tiny_patch16_224`, plain, without LocAt" in (plain := of(run, "features"))
    assert "import locat.models" not in plain and front(plain)["tags"] == ["timm", "image-feature-extraction"]


def test_a_config_of_a_program_of_the_users_own_may_hold_anything(run: RunFolder) -> None:
    config = run.job("classify-0").outputs / "config.json"
    odd = {"architecture": "locat_attached", "model_args": [1], "label_names": 3, "num_classes": "x"}
    config.write_text(json.dumps(odd))
    assert "`locat_attached`, with LocAt (GAug and PRR)" in (text := of(run, "classify-0"))
    assert "| classes |" not in text


def test_of_a_plugins_model_it_says_what_it_needs(run: RunFolder) -> None:
    info = run.path / "code/own.plugin0-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own.plugin0\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[locat.models]\nlocatvit_tiny = own:locatvit_tiny\n")
    (run.path / "python-path").write_text(str(info.parent))
    model = shared(run.path.parent, f"{run.name}/features")
    assert "by timm:" in card(model, "lab/cats", "mit")
    text = card(replace(model, plan=replace(model.plan, plugins=("/own.py",))), "lab/cats", "mit")
    assert "by timm:" not in text and "with `own:locatvit_tiny` as the entry point" in text


def test_no_secret_and_no_path_of_anybody_is_told(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "alice smith"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MY_TOKEN", SECRET)
    settings = (
        f"jobs.a.config.dataset.source={home}/private images",
        "jobs.a.config.data={train: /scratch/alice/train.beton, val: '~alice/val.beton'}",
        "jobs.a.config.init=run:../alice/runs/x/y",
        f"jobs.a.config.key={SECRET}",
        "jobs.a.config.model=/data/alice smith/x",
        "jobs.a.config.uri=https://alice:pw@mlflow.intern:5000/x?token=abc",
        "jobs.a.config.init=hf-hub:timm/vit_tiny",
    )
    config = {
        "source": f"{home}/images of mine",
        "init": {"source": "~alice/m.pth"},
        "classes": {f"{home}/x": [SECRET, 1, None]},
        "tracking": {"uri": "https://mlflow.intern"},
    }
    run = shared_runs.make(home / "runs", models, f"trained on {home}/images of mine", settings, **config)
    shared_runs.leave(run, "classify-0", {"top1": 1.0}, dataset=f"{home}/set")
    text = of(run, "classify-0")
    for private in ("alice", "smith", "scratch", SECRET, "intern", "mine", "laptop", "secret-branch", "pw@"):
        assert private not in text
    assert "--set jobs.a.config.init=hf-hub:timm/vit_tiny" in text
    assert f"--set 'jobs.a.config.data={{train: {PATH}, val: '\"'\"'{PATH}'\"'\"'}}'" in text
    assert f"--set jobs.a.config.uri={URL}" in text
    assert f"source: {PATH}" in text and "train: jobs/convert/outputs/train.beton" in text


def test_what_users_write_is_no_markup(tmp_path: Path, models: Path) -> None:
    hostile = '<script>alert("&")</script> [x](javascript:y) | `code` *b* $x$ \x1b[31m\n---\nlicense: none'
    run = shared_runs.make(
        tmp_path / "runs", models, hostile, (f"a={hostile}\n```\n# heading",), note="```\n" + hostile
    )
    shared_runs.leave(run, "classify-0", {"top1": 1.0, "a|b`": float("nan")}, dataset=hostile)
    text = of(run, "classify-0")
    assert front(text)["license"] == "mit" and "\x1b" not in text
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "<script" not in outside and "[x](" not in outside and "# heading" not in outside
    assert len([line for line in outside.splitlines() if line == "---"]) == 2
    (table,) = [line for line in outside.splitlines() if line.startswith("| data |")]
    assert len(re.findall(r"(?<!\\)\|", table)) == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/alice smith/x", PATH),
        ("~/x y", PATH),
        ("~alice", PATH),
        ("../alice/x", PATH),
        ("run:/data/alice/x@best", f"run:{PATH}"),
        ('["/a/b", "/c d/alice"]', f'["{PATH}", "{PATH}"]'),
        ("[/a/alice, (~alice/b)]", f"[{PATH}, ({PATH})]"),
        ("in a/b/../../alice/x now", f"in {PATH} now"),
        ("s3://alice/b", URL),
        ("sqlite:////w/m.db", URL),
        ("/runs/test/jobs/a/outputs", "jobs/a/outputs"),
        *(
            (text, text)
            for text in ("hf-hub:a/b", "CIFAR-10/100", "and/or, 0.5/0.5", "train / val", "~5 images", "a.b")
        ),
    ],
)
def test_paths_and_addresses_are_told_from_other_texts(run: RunFolder, text: str, shown: str) -> None:
    public = Public(replace(run.plan(), folder=Path("/runs/test")), ())
    assert public.text(text) == shown


def test_a_block_of_code_ends_where_it_should() -> None:
    assert fenced("sh", "a\n````\nb\n") == "`````sh\na\n````\nb\n`````"


def test_a_home_is_known_by_who_made_the_run(run: RunFolder) -> None:
    assert pwd.getpwuid(os.geteuid()).pw_dir in Public.of(run, run.plan()).homes


def test_the_citation_is_that_of_citation_cff() -> None:
    paper = yaml.safe_load((ROOT / "CITATION.cff").read_text())["preferred-citation"]
    cited = " ".join(cards.CITATION.split())
    authors = " and ".join(f"{each['family-names']}, {each['given-names']}" for each in paper["authors"])
    for part in (paper["title"], authors, paper["conference"]["name"], str(paper["year"]), paper["url"]):
        assert f"{{{part}}}" in cited
