"""knn: weighted k-nearest-neighbour classification on a frozen backbone's features (docs/method.md section 4)."""

import torch
import torch.distributed as dist
from torch.nn import functional as F

from locat.config import KnnConfig
from locat.contract.errors import ConfigError
from locat.contract.job_folder import JobFolder
from locat.data.loader import Loader
from locat.data.views import CentreCrop
from locat.engine.distributed import Ranks
from locat.engine.evaluation import Evaluation, Watch, run_evaluation
from locat.engine.precision import autocast
from locat.tasks.backbone import open_backbone
from locat.tasks.classification.accuracy import tops
from locat.tasks.classification.frozen import FrozenBackbone
from locat.tasks.classification.neighbours import hits, nearest, votes
from locat.tasks.loaders import read_settings, verify
from locat.tasks.results import write_results


def knn(config: KnnConfig, job: JobFolder) -> None:
    """Classify the evaluation set by the training set; leave metrics.json, percentages of every k."""
    run_evaluation(lambda ranks: Knn(config, job, ranks), config, job)


class Knn(Evaluation):
    """Each rank computes features of its share of the images, and classifies its share of the evaluation set."""

    def __init__(self, config: KnnConfig, job: JobFolder, ranks: Ranks) -> None:
        self.config, self.job, self.ranks = config, job, ranks
        verify(config.data, ranks)
        self.train, self.val = (self._open(split) for split in ("train", "val"))
        if max(config.neighbours) > self.train.contents.samples:
            raise ConfigError(
                f"neighbours: {max(config.neighbours)} are more than the "
                f"{self.train.contents.samples} samples of {self.train.path}"
            )
        self.classes = len(self.train.contents.classes)
        self.tops = tops(self.classes)
        self.backbone = FrozenBackbone(
            *open_backbone(config, job, ranks), config.image_size, ranks.device, config.called
        )

    def measure(self, watch: Watch) -> dict[str, float]:
        """Top-1 and, where there are more than five classes, top-5 for every k."""
        features, labels = self._embed(watch, self.train, "features of the training set")
        queries, truth = self._embed(watch, self.val, "features of the evaluation set")
        counts = torch.zeros((len(self.config.neighbours), len(self.tops)), dtype=torch.int64, device=self.ranks.device)
        share = slice(self.ranks.rank, None, self.ranks.world_size)
        size = self.config.batch_size
        for some, right in zip(queries[share].split(size), truth[share].split(size), strict=True):
            neighbours = nearest(some, features, labels, max(self.config.neighbours))
            for row, k in zip(counts, self.config.neighbours, strict=True):
                found = votes(neighbours, k, self.classes, self.config.temperature)
                row += torch.tensor(hits(found, right, self.tops), device=row.device)
        dist.all_reduce(counts)
        percent = (100 * counts.double() / len(queries)).tolist()
        return {
            f"top{top}_k{k}": value
            for k, row in zip(self.config.neighbours, percent, strict=True)
            for top, value in zip(self.tops, row, strict=True)
        }

    def export(self, metrics: dict[str, float]) -> None:
        write_results(self.job, self.config, self.backbone.name, self.train.contents, metrics)

    def _embed(self, watch: Watch, loader: Loader, phase: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of unit length, float32 (N, dim), and labels (N,) of the whole set, on every rank."""
        samples, device = loader.contents.samples, self.ranks.device
        features = torch.zeros((samples, self.backbone.dim), device=device)
        labels = torch.zeros(samples, dtype=torch.int64, device=device)
        for batch in watch.batches(loader, phase):
            with autocast(self.config.precision, device):
                found = self.backbone.features(batch.image)
            features[batch.index] = F.normalize(found.float(), dim=1)
            labels[batch.index] = batch.target
        for share in (features, labels):  # a rank has zeros where another one has the sample
            dist.all_reduce(share)
        return features, labels

    def _open(self, split: str) -> Loader:
        view = CentreCrop(self.config.image_size, self.config.crop_pct)
        return Loader(getattr(self.config.data, split), read_settings(self.config, self.ranks), views=(view,))
