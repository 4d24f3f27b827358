"""Somebody's pipeline with code of their own beside it."""

from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from launcher.cli import cli

OWN = """
from typing import ClassVar, Literal

from locat.config import JobConfig
from locat.config.base import PositiveInt
from locat.contract.plugins import model

class Count(JobConfig):
    entry: ClassVar[str] = "own:count"
    outputs: ClassVar[dict[str, str]] = {"numbers": "numbers.txt"}
    task: Literal["count"]
    upto: PositiveInt = 3

def count(config, job):
    from locat.config import Model
    from locat.models.create import create_model
    size = dict(img_size=32, patch_size=8, embed_dim=48, depth=1, num_heads=3, num_classes=config.upto)
    made = create_model(Model(name="own_tiny", args=size))
    job.outputs.mkdir(exist_ok=True)
    (job.outputs / "numbers.txt").write_text(f"{type(made).__name__} {made.num_classes}")

@model
def own_tiny(pretrained=False, **args):
    import timm
    return timm.create_model("vit_tiny_patch16_224", **args)
"""
"""A task and a model in one file."""
PIPELINE = """\
name: own
plugins:
  - {plugin}
jobs:
  count: {{task: count, config: {{upto: 5}}}}
"""
"""Names a plugin in line 3, from column 5 on."""


@dataclass(frozen=True)
class Folder:
    """Somebody's own."""

    path: Path

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def pipeline(self, plugin: str) -> Path:
        return self.write("own.yaml", PIPELINE.format(plugin=plugin))

    def asks(self, verb: str, *words: str) -> Result:
        return CliRunner().invoke(cli, [verb, str(self.path / "own.yaml"), *words])

    def is_refused(self, plugin: str) -> str:
        """What is said of a pipeline that names it, after place and key."""
        file = self.pipeline(plugin)
        refused = self.asks("validate")
        assert refused.exit_code == 2, refused.output
        assert refused.stderr.startswith(f"{file}:3:5: plugins.0: ") and refused.stderr.count("\n") == 1
        return refused.stderr.partition("plugins.0: ")[2].strip()
