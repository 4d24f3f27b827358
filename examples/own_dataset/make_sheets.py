"""Writes contact sheets of scikit-learn's handwritten digits into the folder `sheets`."""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SIZE, COLUMNS = 32, 16

digits = load_digits()
folder = Path("sheets")
folder.mkdir(exist_ok=True)
for split, chosen in {"train": range(0, 256), "val": range(256, 320)}.items():
    sheet = Image.new("L", (COLUMNS * SIZE, len(chosen) // COLUMNS * SIZE))
    for number, index in enumerate(chosen):
        image = Image.fromarray((15 * digits.images[index]).astype(np.uint8)).resize((SIZE, SIZE))
        sheet.paste(image, (number % COLUMNS * SIZE, number // COLUMNS * SIZE))
    sheet.save(folder / f"{split}.png")
    (folder / f"{split}.txt").write_text("".join(f"{digits.target[index]}\n" for index in chosen))
