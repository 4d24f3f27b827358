"""The model card, README.md with the Hub's YAML before it: written from the run alone, and the same each time."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from launcher.comparing import code
from launcher.comparing.rows import Row, read_rows
from launcher.comparing.seeds import COUNT, SEEDS, SPREAD, over_seeds
from launcher.comparing.settings import SEED, UNDECIDING
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.sharing.model import SharedModel, results
from launcher.sharing.public import Public, fenced
from locat.contract.plugins import MODELS
from locat.contract.source import Machine
from locat.contract.submission import Submission
from locat.contract.yaml_text import to_yaml

CITATION = """\
@inproceedings{hajimiri2026locality,
  title = {Locality-Attending Vision Transformer},
  author = {Hajimiri, Sina and Beizaee, Farzad and Shakeri, Fereshteh and Desrosiers, Christian and Ben Ayed, Ismail and
            Dolz, Jose},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year = {2026},
  url = {https://arxiv.org/abs/2603.04892}
}"""
"""As CITATION.cff has it."""
IN_PERCENT = ("top1", "top5", "miou", "macc", "aacc")
OF_THE_HUB = {"top1": "accuracy", "miou": "mean_iou"}
"""Our metrics -> what the Hub calls them."""
CLASSES = 50
"""Names of classes that are listed; of more there is the number."""
PACKAGES = ("torch", "timm")


def card(model: SharedModel, repository: str, licence: str) -> str:
    """README.md of OWNER/NAME.

    Raises:
        UserError: a file of the run is damaged.
    """
    public = Public.of(model.run, model.plan)
    parts = [
        f"# {public.markdown(repository.partition('/')[2])}",
        _what(model, public),
        _table(["", ""], _about(model, public)),
        *_numbers(model, public),
        "## How to use it",
        *_usage(model, repository, public),
        "## How it was made",
        *_origin(model, public),
        "## Citation",
        fenced("bibtex", CITATION),
    ]
    return f"---\n{to_yaml(_front(model, licence))}---\n\n" + "\n\n".join(parts) + "\n"


def _front(model: SharedModel, licence: str) -> dict[str, Any]:
    kind = _kind(model)
    found = [name for ours, name in OF_THE_HUB.items() if ours in _metrics(model.results)]
    return {
        "license": licence,
        "library_name": "timm",
        "pipeline_tag": kind,
        "tags": ["timm", *(["locat"] if model.needs_locat else []), kind],
        **({"metrics": found} if found else {}),
    }


def _kind(model: SharedModel) -> str:
    """The Hub's word for what the model does."""
    if model.described:
        return "image-segmentation"
    return "image-classification" if model.config.get("num_classes") else "image-feature-extraction"


def _what(model: SharedModel, public: Public) -> str:
    kind = {"image-segmentation": "segments images", "image-classification": "classifies images"}
    does = kind.get(_kind(model), "gives features of images")
    parts = " and ".join(model.parts_of_locat)
    locat = f"with LocAt ({parts})" if parts else "plain, without LocAt"
    about = public.markdown(model.plan.description)
    return f"{public.code(model.architecture)}, {locat}: an image model of timm that {does}." + (
        f"\n\n{about}" if about else ""
    )


def _about(model: SharedModel, public: Public) -> Iterator[tuple[str, str]]:
    yield "model", public.code(str(model.results.get("model") or model.architecture))
    yield "task", public.code(str(model.job.config.get("task")))
    if dataset := model.results.get("dataset"):
        digest = str(model.results.get("contents") or "")[:12]
        yield (
            "data",
            public.markdown(str(dataset)) + (f", {public.code(digest)} (digest of its files)" if digest else ""),
        )
    if names := model.classes:
        listed = ": " + ", ".join(map(public.markdown, names)) if len(names) <= CLASSES else ""
        yield "classes", f"{len(names)}{listed}"
    for key in ("protocol", "variant"):
        if value := model.results.get(key):
            yield key, public.markdown(str(value))
    yield "run", f"{public.code(model.run.name)}, job {public.code(model.job.name)}"


def _numbers(model: SharedModel, public: Public) -> Iterator[str]:
    own = _metrics(model.results)
    if not own:
        return
    yield "## Numbers"
    joined = _over_seeds(model)
    heads = ["evaluation set", "this model"]
    if joined is not None:
        seeds = joined.about[SEEDS].split()
        heads = ["evaluation set", f"this model, seed {model.job.config.get(SEED)}", "mean ± standard deviation"]
    rows = []
    for name, value in own.items():
        row = [public.code(name), _number(name, value)]
        if joined is not None:
            row.append(_spread(name, joined.metrics))
        rows.append(row)
    yield _table(heads, rows)
    said = []
    if joined is not None:
        said.append(f"Over {len(seeds)} seeds, {', '.join(seeds)}: jobs of the same run that differ in nothing else.")
    if percent := [name for name in own if name in IN_PERCENT]:
        said.append(f"{', '.join(percent)} in percent.")
    if said:
        yield " ".join(said)


def _over_seeds(model: SharedModel) -> Row | None:
    """The jobs of the run that are this one but for seeds, by the numbers of what they left; None if it is alone."""
    rows = list(read_rows(model.run, (), True, []))  # the numbers are not those of its logs
    own = next(row for row in rows if row.about["job"] == model.job.name)
    alike = [row for row in rows if row.but_for_seeds == own.but_for_seeds and row.about["status"] == Status.DONE]
    found = [replace(row, metrics=_of_job(model.run, row.about["job"])) for row in alike]
    (joined, *others), _ = over_seeds(row for row in found if row.metrics)
    assert not others, "they are alike"
    return joined if len(joined.about[SEEDS].split()) > 1 else None


def _of_job(run: RunFolder, job: str) -> dict[str, float]:
    return _metrics(results(run, job))


def _metrics(found: Mapping[str, Any]) -> dict[str, float]:
    """Numbers among the results; a program of a user's own may have written anything."""
    metrics = found.get("metrics")
    pairs = metrics.items() if isinstance(metrics, dict) else ()
    return {name: float(value) for name, value in pairs if type(value) in (int, float)}


def _spread(name: str, metrics: Mapping[str, float]) -> str:
    if f"{name}{SPREAD}" not in metrics:
        return ""
    of = f" (of {metrics[f'{name}{COUNT}']:.0f})" if f"{name}{COUNT}" in metrics else ""
    return f"{_number(name, metrics[name])} ± {_number(name, metrics[f'{name}{SPREAD}'])}{of}"


def _number(name: str, value: float) -> str:
    if not math.isfinite(value):
        return "not finite"
    return f"{value:.2f}" if name in IN_PERCENT else f"{value:.4g}"


def _usage(model: SharedModel, repository: str, public: Public) -> Iterator[str]:
    source = f"hf-hub:{repository}"
    if brought := model.brought_as:
        yield (
            f"The architecture {public.code(model.architecture)} is made by code of its authors, which is not here and"
            f" which timm does not know: install it where LocAt is, with {public.code(brought)} as the entry point of"
            f" that name in the group {public.code(MODELS)}."
        )
    else:
        registered = "import locat.models  # registers the models with LocAt in timm\n" if model.needs_locat else ""
        what = "The backbone" if model.described else "The model"
        made = f'model = timm.create_model("{source}", pretrained=True).eval()'
        yield f"{what}, by timm:"
        yield fenced("python", f"import timm\n{registered}\n{made}")
    answer = {
        "image-segmentation": "(mask,) = model.segment(images)  # of each pixel the number of its class",
        "image-classification": "probabilities = model.classify(images)",
    }.get(_kind(model), "embeddings = model.embed(images)")
    yield "With its preprocessing, by LocAt's package:"
    yield fenced(
        "python", f'import locat\n\nmodel = locat.Model.from_source("{source}")\nimages = ["photo.jpg"]\n{answer}'
    )
    masks = " --masks masks" if model.described else ""
    yield fenced("sh", f"python -m locat predict --model {source} photos{masks}")
    yield f"To train on from it, a pipeline says `model.init: {source}`."


def _origin(model: SharedModel, public: Public) -> Iterator[str]:
    asked = Submission.read(model.run.path)
    settings = asked.settings if asked else ()
    branch = ["--from", public.text(asked.branch)] if asked and asked.branch else []
    words = [word for each in settings for word in ("--set", public.setting(each))]
    yield f"By the pipeline {public.code(model.plan.pipeline)}:"
    yield fenced("sh", shlex.join(["launcher", "submit", "pipeline.yaml", *words, *branch]))
    ran = code.of_job(code.recorded(model.run), Machine.read(model.run.job(model.job.name)))
    if ran is None:
        yield "Which code the job ran is not recorded."
    else:
        commits = [
            f"commit {public.code(origin.commit)} of {' and '.join(map(public.code, origin.modules))}"
            + (", with changes that were not committed" if origin.is_changed else "")
            for origin in ran.origins
            if origin.commit
        ]
        packages = [f"{name} {ran.installed[name]}" for name in PACKAGES if name in ran.installed]
        digest = f"Code: {public.code(ran.digest)} (SHA-256 of its files)"
        with_them = f" Run by {public.text(', '.join([f'Python {ran.python}', *packages]))}."
        yield "; ".join([digest, *commits]) + "." + with_them
    config = {key: value for key, value in model.job.config.items() if key != UNDECIDING}
    yield "The job's config; `PATH` stands for what lay on the machine that it ran on:"
    yield fenced("yaml", to_yaml(public.value(config)))


def _table(heads: Sequence[str], rows: Iterator[tuple[str, str]] | Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])
