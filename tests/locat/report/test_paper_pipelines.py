"""Every row of a table has a job that trains its model: what pipelines call it is what reports know it by."""

from pathlib import Path

import pytest

from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load
from locat.config import Model
from locat.models.create import title
from locat.report.paper import TAB_1, TAB_2, TAB_3, TAB_4, TAB_6

PIPELINES = Path(__file__).parents[3] / "pipelines"
NOT_THE_PAPERS = {"locatvit_tiny, gaug=rotated"}


@pytest.mark.parametrize(
    ("names", "table", "jobs"),
    [
        (("table1",), TAB_1, "pretrain"),
        (("cifar100",), TAB_2, "pretrain"),
        (("mini_imagenet",), TAB_2, "pretrain"),
        (("dino",), TAB_3, "pretrain"),
        (("ablations", "ablations_base"), TAB_4, "pretrain"),
        (("ablations", "ablations_base"), TAB_6, "gaussians"),
    ],
)
def test_every_row_of_a_table_is_trained(names, table, jobs):
    trained = {}
    for name in names:
        plan = compile_pipeline(load(PIPELINES / f"{name}.yaml"), name, Path("/runs"))
        for job in plan.jobs:
            if job.group == jobs:
                model = job.config["model"]
                trained[title(Model(**model))] = job.config
    assert trained.keys() - NOT_THE_PAPERS == {row.model for row in table.rows}
    for config in (config for config in trained.values() if config["task"] == "supervised"):
        base = "_base" in config["model"]["name"]
        assert config["augment"]["colour_jitter"] == 0
        assert config["augment"]["mixup_group"] == (256 if base else 512)
        assert config["model"]["args"]["drop_path_rate"] == (
            0.4 if base else 0.2 if "small" in config["model"]["name"] else 0.1
        )


def test_cifar_warms_up_as_the_paper_says_and_mini_imagenet_as_the_releases_example():
    epochs = {
        name: {
            job.config["schedule"]["warmup_epochs"]
            for job in compile_pipeline(load(PIPELINES / f"{name}.yaml"), name, Path("/runs")).jobs
            if job.group == "pretrain"
        }
        for name in ("cifar100", "mini_imagenet")
    }
    assert epochs == {"cifar100": {20}, "mini_imagenet": {120}}
