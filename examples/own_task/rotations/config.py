"""What pipelines may say of the task, and what must be known of it before it runs. Imports no torch."""

from typing import ClassVar, Literal

from locat.config import PretrainingConfig
from locat.config.base import PositiveInt
from locat.config.cost import TRAINING, Costs

TURNS = 4


class RotationsConfig(PretrainingConfig):
    """Tell by how many quarter turns an image was turned (RotNet, Gidaris et al. 2018)."""

    entry: ClassVar[str] = "rotations.task:rotations"
    evaluated: ClassVar[tuple[str, ...]] = ("rotation",)
    headline: ClassVar[str] = "rotation"
    label: ClassVar[str] = "rotations told"
    trained: ClassVar[str] = "trained to tell rotations"

    task: Literal["rotations"]
    image_size: PositiveInt = 224
    """Height and width of the stored images in pixels, all alike."""

    def operations(self, costs: Costs) -> float:
        """The model sees each image in every rotation."""
        images = TURNS * self.epochs * costs.images(self.data.train, "train")
        return images * TRAINING * costs.multiply_adds(self.model, self.image_size)
