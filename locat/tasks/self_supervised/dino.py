"""dino: self-distillation without labels (Caron et al. 2021, arXiv 2104.14294; docs/method.md section 4)."""

import copy
from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.distributed as dist
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from locat.config import DinoConfig, Model
from locat.config.augmentation import DinoCrops
from locat.contract.job_folder import JobFolder
from locat.data.augment import DinoTransform, normalize
from locat.data.batch import Batch
from locat.data.position import Position
from locat.data.views import CentreCrop, RandomResizedCrop
from locat.engine.distributed import Ranks
from locat.engine.freezing import Frozen
from locat.engine.loop import run_training
from locat.engine.schedules import cosine, learning_rate
from locat.engine.task import Batches, Models, Task
from locat.models.create import create_model, save_model, title
from locat.models.dino_head import DinoHead, MultiCrop
from locat.models.dino_positions import as_dino
from locat.tasks.loaders import at_least_one, open_loaders
from locat.tasks.pictures import draw_attention, draw_inputs
from locat.tasks.results import write_results
from locat.tasks.self_supervised.dino_loss import Centre, dino_loss, teacher_probabilities
from locat.weights.checkpoints import keep_statistics
from locat.weights.initial import describe, initialise

GLOBAL_CROPS = 2
"""Views of an image that the teacher sees as well."""
EVALUATION_CROP_PCT = 0.875


def dino(config: DinoConfig, job: JobFolder) -> None:
    """Train; leave the teacher's backbone as model.safetensors and config.json, metrics.json and figures."""
    run_training(lambda ranks: Dino(config, job, ranks), config, job)


class Dino(Task):
    """A student learns from all views what its slow average, the teacher, says of the global ones.

    `evaluate` watches for collapse, in nats: `entropy` is that of the teacher's output for an image, on average, and
    `entropy_of_mean` that of its mean output. Collapsed to one output both are 0, to the uniform one both are
    ln(out_dim); a teacher that tells images apart has a low one and a high one.
    """

    def __init__(self, config: DinoConfig, job: JobFolder, ranks: Ranks) -> None:
        self.config, self.job, self.ranks = config, job, ranks
        crops = config.crops
        self.train_loader, self.val_loader = open_loaders(
            config,
            ranks,
            "label",
            train_views=training_views(crops),
            val_views=(CentreCrop(crops.global_size, EVALUATION_CROP_PCT),),
        )
        self.transform = DinoTransform(crops, config.seed)
        self.steps_per_epoch = self.train_loader.batches_per_epoch
        self.total_steps = config.epochs * self.steps_per_epoch
        self.evaluate_every = self.steps_per_epoch
        self.backbone = backbone = self._new_backbone()
        width = backbone(torch.zeros(1, 3, crops.global_size, crops.global_size)).shape[1]
        self.frozen = Frozen(config.freeze, backbone, self.steps_per_epoch, self.total_steps)
        self.model = MultiCrop(backbone, DinoHead(width, config.head))
        self.shadow = copy.deepcopy(self.model)
        self.centre = Centre(config.head.out_dim, config.centre_momentum, ranks.device)
        self.schedule = partial(cosine, total=self.total_steps)

    def begin(self) -> None:
        initialise(self.backbone, self.config.model, self.job, self.ranks)
        assert self.shadow is not None, "made with the student"
        self.shadow.load_state_dict(self.model.state_dict())

    def learning_rate(self, step: int) -> float:
        return learning_rate(step, self.config, total=self.total_steps, steps_per_epoch=self.steps_per_epoch)

    def weight_decay(self, step: int) -> float:
        return self.schedule(step, start=self.config.optimizer.weight_decay, end=self.config.weight_decay_end)

    def shadow_momentum(self, step: int) -> float:
        return self.schedule(step, start=self.config.teacher_momentum, end=1.0)

    def frozen_until(self, name: str) -> int:
        if name.startswith("head.last_layer."):
            return self.config.freeze_last_layer_epochs * self.steps_per_epoch
        return self.frozen.until(name.removeprefix("backbone."))

    def loss(self, models: Models, batch: Batch, position: Position) -> torch.Tensor:
        views = self.transform(batch.views, batch.index, position.epoch)
        with torch.no_grad():
            teacher = models.exported(views[:GLOBAL_CROPS])
        self.centre.see(teacher)
        return dino_loss(models.trained(views), teacher, self.centre.value, self.config.temperatures)

    def after_update(self, step: int, dropped: torch.Tensor) -> None:
        self.centre.update(dropped)

    def state(self) -> Mapping[str, torch.Tensor]:
        return {"centre": self.centre.value, **keep_statistics(IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.centre.value = state["centre"]

    def evaluate(self, models: Models, interruptible: Callable[[Batches], Batches]) -> dict[str, float]:
        total = torch.zeros(self.config.head.out_dim + 1, device=self.ranks.device)  # the last one: sum of entropies
        for batch, _ in interruptible(self.val_loader.batches()):
            images = normalize(at_least_one(batch.image), IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
            outputs = models.exported([images])[0]
            if len(batch):
                probabilities = teacher_probabilities(outputs, self.centre.value, self.config.temperatures.teacher)
                total[:-1] += probabilities.sum(0)
                total[-1] += entropy(probabilities).sum()
        dist.all_reduce(total)
        total /= self.val_loader.contents.samples
        return {"entropy": total[-1].item(), "entropy_of_mean": entropy(total[:-1]).item()}

    def export(self, weights: dict[str, torch.Tensor], metrics: dict[str, float]) -> None:
        backbone = self._new_backbone()
        prefix = "backbone."
        backbone.load_state_dict(
            {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        )
        backbone.eval()
        save_model(backbone, self.job.outputs, **self._model.args)
        self._draw_crops()
        self._draw_attention(backbone)
        name = title(self.config.model)
        write_results(self.job, self.config, name, self.train_loader.contents, metrics)

    @property
    def _model(self) -> Model:
        """Without a classifier, for images of any size."""
        fixed = {"num_classes": 0, "dynamic_img_size": True}
        return self.config.model.with_args({**self.config.model.args, **fixed})

    def _new_backbone(self) -> nn.Module:
        backbone = as_dino(create_model(self._model))
        describe(backbone, {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD})
        return backbone

    def _draw_crops(self) -> None:
        """The views of the first image of the first batch, as they are trained on."""
        batch, _ = next(self.train_loader.batches())
        first = next(batch.split(1))
        views = [view[0] for view in self.transform(first.views, first.index, 0)]
        captions = [
            f"{'global' if number < GLOBAL_CROPS else 'local'} {'x'.join(map(str, view.shape[1:]))}"
            for number, view in enumerate(views)
        ]
        path = self.job.figures / "crops.png"
        draw_inputs(path, "one image's views", views, captions, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)

    def _draw_attention(self, backbone: nn.Module) -> None:
        heading = f"{title(self.config.model)}: attention of [CLS] in the teacher's last block"
        path = self.job.figures / "attention.png"
        draw_attention(path, heading, backbone, self.val_loader, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)


def entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """In nats, of distributions (..., K): (...)."""
    found: torch.Tensor = torch.special.entr(probabilities).sum(-1)
    return found


def training_views(crops: DinoCrops) -> list[RandomResizedCrop]:
    """What is cut out of a training image, the global crops first."""
    large, small = (
        RandomResizedCrop(size, scale, interpolation="bicubic", decode=crops.decode)
        for size, scale in ((crops.global_size, crops.global_scale), (crops.local_size, crops.local_scale))
    )
    return [large] * GLOBAL_CROPS + [small] * crops.local_crops
