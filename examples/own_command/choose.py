"""Say which of several lines rises the most like the one that was looked for: `choose.py BEST MODEL...`."""

import json
import sys
from pathlib import Path

best, *models = map(Path, sys.argv[1:])
chosen = min(models, key=lambda file: abs(json.loads(file.read_text())["slope"] - 3))
best.write_text(chosen.read_text())
print(f"the best is {chosen.parents[1].name}")
