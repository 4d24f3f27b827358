"""The project's documents, in parts, and what becomes of the commands in them."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = ("README", "CONTRIBUTING", "RELEASE", "SECURITY")
DOCUMENTS = sorted([*(ROOT / f"{name}.md" for name in NAMES), *(ROOT / "docs").rglob("*.md")])
TOOLS = {".", "cp", "export", "kubectl", "docker", "helm", "hf", "pip"}
"""What a command may begin with that is not the project's."""

UI = r"^http://127\.0\.0\.1:\d+/\?key=\S+#/experiments/\d+/runs/\w{32}"
HERE = {
    ". .venv/bin/activate": "",
    "launcher validate pipelines/digits.yaml": r"^pipelines/digits\.yaml: valid, 4 jobs$",
    "launcher submit pipelines/digits.yaml --dry-run": r"pretrain-locatvit_tiny  after convert",
    "launcher submit pipelines/digits.yaml --watch": r"^digits-\S+: done",
    "launcher submit pipelines/digits.yaml --set defaults.strategy=deepspeed --set jobs.pretrain.config.epochs=2": (
        r"^submitted digits-"
    ),
    "launcher list": r"(?s)digits-\S+ +running.* digits-\S+ +done",
    "launcher status": r"convert +(queued|running|done)",
    "launcher status RUN": r"convert +(queued|running|done)",
    "launcher status RUN --watch": r"^convert: done",
    "launcher logs RUN --grep 'step \\d+: |Error'": r"^pretrain-locatvit_tiny: .* step \d+: top1",
    "launcher top": r"^\d+ runs?: \d+ jobs? running.*; held: \d+ of \d+ cores",
    "launcher logs RUN pretrain-locatvit_tiny --follow": r"step 8: top1",
    "launcher cancel RUN": r"^cancelled: .*compare$",
    "launcher retry RUN": r"^to be run again: .*compare$",
    "launcher compare RUN": r"^job .* val/top1",
    "launcher diff RUN OTHER-RUN": r"^config:$",
    "launcher compare": r"^job .* val/top1",
    "launcher compare RUN OTHER-RUN --over-seeds --sort -val/top1": r"^run .* seeds .* val/top1",
    "launcher compare RUN --metric val/top1@best --where 'task=supervised' --csv": r"^run,job,status.*,val/top1@best$",
    "launcher report RUN": r"/report/report\.md$",
    "launcher usage RUN": r"^ convert +\d+ +\d+:\d\d ",
    "launcher usage --since 30d --by user --price 2.5": r"^ \S+ +\d+ .* 0\.00 *$",
    "launcher usage --by model --json": r'^ +"model": "locatvit_tiny",$',
    "launcher clean --older 30d": r"^ +0  free$",
    "launcher clean --dry-run": r"would be free; --dry-run deletes nothing$",
    "launcher clean RUN --keep last": r"^ +[\d,]+  free$",
    "launcher init": r"^wrote pipeline\.yaml",
    "launcher init digits.yaml --example digits": r"^wrote digits\.yaml",
    "launcher sync RUN": "",
    "launcher ui RUN": UI,
    "launcher doctor": r"^ok +ffcv",
    "launcher report": r"/report/report\.md$",
    "launcher report RUN OTHER-RUN": r"/report/report\.md$",
    "launcher report RUN --output tables": r"^tables/report\.md$",
    "launcher report RUN --tracking-uri http://localhost:5000": r"/report/report\.md$",
    "launcher submit pipelines/tiny.yaml --set jobs.imagenet.config.dataset.source=/data/imagenet --dry-run": (
        r"segment-locatvit_tiny-ade20k  after benchmark-ade20k, pretrain-locatvit_tiny\n"
        r".* 0\.\d+ to 0\.\d+ GPU-hours; 0\.\d+ GB$"
    ),
    "launcher submit FILE --dry-run": r"^needs +\d+( to \d+)? GPU-hours",
    "launcher submit FILE --dry-run --set defaults.resources.gpu_type=a100": r"^needs +\d+( to \d+)? GPU-hours",
    "export LAUNCHER_RUNS=~/runs": "",
    "launcher submit other.yaml": r"^submitted other-",
    "launcher logs RUN JOB --follow": r"convert val: 16/16",
    "launcher logs RUN JOB": r"convert val: 16/16",
    "launcher validate FILE": r": valid, 4 jobs$",
    "python -m launcher.language.json_schema --installed > schema.json": "",
    "python -m launcher.language.reference_page --installed > reference.md": "",
}
"""What test_readme.py runs on this machine -> what it prints, as a regular expression."""
ON_SLURM = {
    "export LAUNCHER_BACKEND=slurm LAUNCHER_RUNS=/shared/runs": "",
    "launcher doctor": r"^ok +Slurm: .* gpu$",
    "launcher render pipelines/digits.yaml": r"^#SBATCH --job-name=digits-\S+/convert$",
    "launcher submit pipelines/digits.yaml --set 'defaults.options={slurm: {partition: gpu}}'": r"^submitted digits-",
    "launcher status": r"convert +(queued|running|done)",
    "export LAUNCHER_RUNS=/shared/runs": "",
    "launcher submit pipelines/digits.yaml --backend slurm": r"^submitted digits-",
    "launcher render --backend slurm pipelines/digits.yaml": r"^#SBATCH --job-name=digits-\S+/convert$",
    "launcher logs RUN JOB --follow": r"convert val: 33/33",
    "launcher cancel RUN": r"^cancelled: .*compare$",
    "launcher retry RUN": r"^submitted to Slurm: .*compare ",
    "export LAUNCHER_BACKEND=slurm": "",
}
"""The same of launcher/test_slurm_documents.py."""
NOT_FOLLOWED = {
    "make install": "CI does, before the tests",
    "make lint": "CI does, before the tests",
    "make test": "CI does",
    "make test-fast": "its tests are among those of `make test`",
    "make demo": "takes minutes; test_chain.py submits the same pipeline, with less to do",
    "launcher submit flowers.yaml --watch": "test_tutorial.py does, with a smaller model",
    "make site": "test_site.py builds the same into a folder of its own",
    "make gpu": "needs a GPU; benchmarks/test_gpu_run.py rehearses it on a CPU",
    "make gpu-bundle": "asks a package index; benchmarks/test_gpu_run.py does where GPU_BUNDLE is set",
    "launcher submit pipelines/miniature.yaml --watch": "takes hours; docs/results.md has what it gave",
    "launcher submit pipelines/digits.yaml --backend debug": "in backends/local/test_debug.py, with a smaller job",
    "launcher submit pipelines/dino_digits.yaml --watch": "takes 12 minutes; docs/results.md has what it gave",
    "launcher submit pipelines/attach_digits.yaml --watch": "takes minutes; docs/results.md has what it gave",
    **dict.fromkeys(
        (
            "python -m locat predict --model runs/RUN/jobs/segment-locatvit_tiny-0/outputs photos --masks masks "
            "--overlays overlays",
            "python -m locat predict --model runs/RUN/jobs/pretrain-locatvit_tiny/outputs val.beton --top 2",
            'python -m locat predict --model hf-hub:timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k "photos/**/*.jpg" '
            "--embeddings photos.npz",
        ),
        "locat/predict/test_command.py does, with models of its own",
    ),
    **dict.fromkeys(
        ("export SLACK_URL=https://hooks.slack.com/services/T00/B00/x1y2z3w4", "launcher submit study.yaml"),
        "launcher/notify/test_told.py does, with a server of its own",
    ),
    "python -m locat export --model runs/RUN/jobs/pretrain-locatvit_tiny/outputs --out exported": (
        "locat/export/test_export.py does, with models of its own"
    ),
    "launcher logs RUN JOB --rank 1": "test_chain.py does, which has a job of two ranks",
    "launcher submit tune.yaml --from RUN/JOB": "launcher/verbs/test_branches.py and tasks/test_branch_jobs.py do",
    "launcher submit tune.yaml --from RUN/JOB@best --set jobs.tune.config.optimizer.lr=1e-4": "the same tests do",
    "launcher push RUN/JOB hf:OWNER/NAME --licence apache-2.0 --dry-run": "launcher/sharing/test_push.py does",
    "launcher push RUN/JOB hf:OWNER/NAME --licence apache-2.0": "the same tests do, to a server of theirs",
    "launcher push RUN/JOB hf:OWNER/NAME --licence mit": "the same tests do",
    "python -m locat predict --model hf-hub:OWNER/NAME photos --masks masks": "the same tests load such a model",
    "launcher retry RUN --code now": "launcher/snapshot/test_code_of_runs.py does, with code that was edited",
    "launcher submit k8s/examples/digits.yaml --backend kubernetes": "with --watch in cluster/test_walkthrough.py",
}
"""What no test runs as it stands -> why, and what is done instead."""


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block, those in lists as well."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    return [(language, textwrap.dedent(content)) for _, language, content in found]


def block_commands(text: str) -> Iterator[str]:
    """Every command in the blocks; those of no language hold other text as well."""
    known = {"launcher", "make", "python", *TOOLS}
    for language, block in blocks(text):
        if language in ("", "sh"):
            for command in lines(block):
                if language == "sh" or command.split()[0] in known:
                    yield command


def lines(block: str) -> list[str]:
    """A block's lines without comments."""
    found = (re.sub(r"\s+#\s.*", "", line).strip() for line in block.replace("\\\n", " ").splitlines())
    return [line for line in found if line]


def shell_commands(document: Path) -> list[str]:
    """Every command of the blocks that are said to be a shell's."""
    return [line for language, block in blocks(document.read_text()) if language == "sh" for line in lines(block)]


def quoted_commands(text: str) -> list[str]:
    """Those of the launcher that are quoted in sentences."""
    return re.findall(r"`(launcher [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def calls(text: str) -> list[str]:
    """Every command that is called and not only named, as `launcher cancel` is in a sentence."""
    return [*block_commands(text), *(command for command in quoted_commands(text) if len(command.split()) > 2)]
