"""DeepSpeed's ZeRO, stages 1 to 3."""

import os
from pathlib import Path

import torch
from torch import nn

if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # read at import
import deepspeed
from deepspeed.utils import logger as deepspeed_logger

from locat.engine.distributed import Ranks
from locat.engine.strategies.base import MakeOptimizer, Strategy, decayed_groups


class Zero(Strategy):
    """Training by DeepSpeed's engine; its checkpoints load with the same number of ranks only."""

    def __init__(
        self,
        model: nn.Module,
        make_optimizer: MakeOptimizer,
        weight_decay: float,
        clip_grad: float,
        ranks: Ranks,
        stage: int,
        images_a_rank: int,
    ) -> None:
        super().__init__(ranks, clip_grad)
        deepspeed_logger.setLevel("WARNING")
        os.environ.setdefault("LOCAL_RANK", str(ranks.rank))
        os.environ.setdefault("LOCAL_SIZE", str(ranks.world_size))
        model = model.to(ranks.device)
        self.engine, self.optimizer, *_ = deepspeed.initialize(
            model=model,
            optimizer=make_optimizer(decayed_groups(model, weight_decay)),
            config={
                "train_micro_batch_size_per_gpu": images_a_rank,
                "gradient_accumulation_steps": 1,
                "gradient_clipping": clip_grad,
                "zero_optimization": {"stage": stage},
            },
            dist_init_required=False,
        )
        self.module = self.engine

    def update(self, loss: torch.Tensor) -> torch.Tensor:
        self.engine.backward(loss)
        self.engine.step()
        return torch.as_tensor(self.engine.get_global_grad_norm(), device=self.ranks.device)

    def full_weights(self) -> dict[str, torch.Tensor]:
        model = self.engine.module
        with deepspeed.zero.GatheredParameters(list(model.parameters())):
            return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}

    def save(self, folder: Path) -> None:
        self.engine.save_checkpoint(str(folder), tag="zero")

    def load(self, folder: Path) -> None:
        self.engine.load_checkpoint(str(folder), tag="zero")
