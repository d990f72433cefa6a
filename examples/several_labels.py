"""Make pictures with several labels out of a folder of photographs: two or three pasted into one, and a table of them.

    python examples/several_labels.py PHOTOS pictures
    keras-inception train --data csv:pictures/labels.csv --pipeline.augment.min-area 0.8 --output runs/several

PHOTOS has a sub-folder a class, maybe under train/ and validation/. No photograph is pasted into pictures of two
splits: where there is no validation/, a part of them is kept for the test; a part of the others is for validation.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SIDE = 320
LAYOUTS = {  # left, top, width and height of each photograph, in halves of a picture
    2: ((0, 0, 1, 2), (1, 0, 1, 2)),
    3: ((0, 0, 1, 1), (1, 0, 1, 1), (0, 1, 2, 1)),
}


def main(photos: Path, folder: Path, count: int = 2400, seed: int = 0) -> Path:
    """Writes `count` pictures and labels.csv, of which an eighth is for validation and a sixth for the test."""
    generator = np.random.default_rng(seed)
    rows = ["path,labels,split"]
    for split, files in split_photos(photos, generator).items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        share = {"train": 17 / 24, "validation": 1 / 8, "test": 1 / 6}[split]
        for number in range(round(share * count)):
            chosen = generator.choice(len(files), generator.integers(2, 4), replace=False)
            name = f"{split}/{number:05}.jpg"
            pasted([files[i] for i in chosen]).save(folder / name, quality=90)
            rows.append(f"{name},{'|'.join(sorted({files[i].parent.name for i in chosen}))},{split}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder / "labels.csv"


def split_photos(photos: Path, generator: np.random.Generator) -> dict[str, list[Path]]:
    """The photographs of each split, every class in each of them."""
    root = photos / "train" if (photos / "train").is_dir() else photos
    splits: dict[str, list[Path]] = {"train": [], "validation": [], "test": []}
    for place in sorted(path for path in root.iterdir() if path.is_dir()):
        files = [sorted(place.iterdir())[i] for i in generator.permutation(len(list(place.iterdir())))]
        held_out = photos / "validation" / place.name
        if held_out.is_dir():
            splits["test"] += sorted(held_out.iterdir())
        else:
            splits["test"], files = splits["test"] + files[: len(files) // 5], files[len(files) // 5 :]
        splits["validation"] += files[: len(files) // 6]
        splits["train"] += files[len(files) // 6 :]
    return splits


def pasted(files: list[Path]) -> Image.Image:
    """Two photographs side by side, or two above a third, each cut to the shape of its place."""
    picture, half = Image.new("RGB", (SIDE, SIDE)), SIDE // 2
    for file, (left, top, width, height) in zip(files, LAYOUTS[len(files)], strict=True):
        with Image.open(file) as photo:
            fitted = ImageOps.fit(photo.convert("RGB"), (width * half, height * half))
        picture.paste(fitted, (left * half, top * half))
    return picture


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])))
