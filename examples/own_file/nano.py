"""A task and a model of one's own in one file. It imports no torch: the functions that need it do."""

from typing import Any, ClassVar, Literal

from locat.config import JobConfig, Model
from locat.contract.job_folder import JobFolder
from locat.contract.plugins import model


class ParametersConfig(JobConfig):
    """Count the parameters of a model."""

    entry: ClassVar[str] = "nano:count_parameters"
    outputs: ClassVar[dict[str, str]] = {"count": "parameters.txt"}

    task: Literal["parameters"]
    model: Model


def count_parameters(config: ParametersConfig, job: JobFolder) -> None:
    from locat.models.create import create_model

    count = sum(each.numel() for each in create_model(config.model).parameters())
    print(f"{config.model.name} has {count:,} parameters")
    job.outputs.mkdir(exist_ok=True)
    (job.outputs / "parameters.txt").write_text(f"{count}\n")


@model
def vit_nano(pretrained: bool = False, **args: Any) -> Any:
    """A ViT of 96 channels; takes what timm's ViTs take."""
    import timm

    return timm.create_model("vit_tiny_patch16_224", pretrained=pretrained, **{"embed_dim": 96, **args})
