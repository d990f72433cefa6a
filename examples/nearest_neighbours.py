"""Find the pictures that look most like one: every picture as a vector, and the largest inner products.

    python examples/nearest_neighbours.py PHOTOS PICTURE [MODEL [WEIGHTS]]

PHOTOS is a folder of pictures, with a sub-folder a class or without; MODEL whatever the command takes, `mobilenet_v2`
where none is named. Writes features.npz, which a second call uses again, and neighbours.png.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageOps

import keras_inception as ki
from keras_inception import photos

COUNT = 7


def main(folder: str, picture: str, handle: str = "mobilenet_v2", weights: str | None = None) -> list[str]:
    """Returns the names of the pictures that are most alike, nearest first."""
    model = ki.open_model(handle, weights=weights)
    kept = np.load(photos.embed(folder, model, "features.npz").file)
    (vector,) = model.embed([picture])
    likeness = kept["vectors"] @ vector  # cosines: vectors are of length 1
    nearest = np.argsort(-likeness)[:COUNT]
    draw(picture, [(kept["names"][index], likeness[index]) for index in nearest])
    return [str(kept["names"][index]) for index in nearest]


def draw(picture: str, found: list[tuple[str, float]]) -> None:
    """Writes neighbours.png: the picture, and what was found beside it."""
    figure, places = plt.subplots(1, len(found) + 1, figsize=(2 * len(found) + 2, 2.6))
    shown = [(picture, "looked for"), *((name, f"{Path(name).parent.name} {cosine:.2f}") for name, cosine in found)]
    for place, (name, title) in zip(places, shown, strict=True):
        place.imshow(ImageOps.fit(Image.open(name).convert("RGB"), (200, 200)))
        place.set_title(title, fontsize=9)
        place.axis("off")
    figure.tight_layout()
    figure.savefig("neighbours.png", dpi=100)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) - 1 <= 4:
        sys.exit(__doc__)
    print(*main(*sys.argv[1:]), sep="\n")
