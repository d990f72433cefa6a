"""Kernels to begin with that are not random.

Both as in "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", Jordan, 2024, https://arxiv.org/abs/2404.00498. The
patches that a first convolution sees are strongly correlated; their principal components, each scaled to the same
variance, are kernels whose outputs are not, and what follows learns faster. They come in pairs of opposite sign, since
a ReLU follows, and are not trained. Deviations: in the paper the convolution has a filter for each, where here one of
fewer filters takes the components of largest variance, and one of more keeps random kernels, which are trained as
little, for the rest.
"""

import keras
import numpy as np
from keras import ops

from ..config import TrainConfig
from ..data.images import AnyImages
from ..pipeline.preparing import evaluation_batches

IMAGES = 2000
_PATCHES = 100_000  # of all images together
_FLOOR = 5e-4  # of the mean variance, added to each: components that hold next to nothing are not blown up


def whiten(model: keras.Model, config: TrainConfig, images: AnyImages) -> None:
    """Sets the kernels of a network's first convolution from some training images, and freezes them.

    Args:
        model: the network, which takes pixels in 0..255.
        config: the run's configuration, for how images are prepared, and the seed of which ones are seen.
        images: the training images.
    """
    chosen = np.random.default_rng(config.seed).permutation(len(images.labels))[:IMAGES]
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    before = keras.Model(model.input, first.input)
    patches = []
    for pixels, _ in evaluation_batches(images.subset(np.sort(chosen)), config).as_numpy_iterator():
        seen = ops.convert_to_numpy(ops.cast(before(pixels, training=False), "float32"))
        patches.append(_patches(seen, first.kernel_size, _PATCHES // len(chosen)))
    components = principal_kernels(np.concatenate(patches))
    kernel = ops.convert_to_numpy(ops.cast(first.kernel, "float32")).copy()
    count = min(kernel.shape[-1], components.shape[-1])
    kernel[..., :count] = components[:, :count].reshape(*kernel.shape[:-1], count)
    first.kernel.assign(kernel)
    first.trainable = False


def begin_as_identities(model: keras.Model) -> None:
    """Lets trainable convolutions pass on as many channels as they can; their other filters stay random.

    Grouped and depthwise convolutions stay as they are.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.groups == 1 and layer.trainable:
            kernel = ops.convert_to_numpy(ops.cast(layer.kernel, "float32")).copy()
            height, width, *channels = kernel.shape
            passed = np.arange(min(channels))
            kernel[..., passed] = 0
            kernel[(height - 1) // 2, (width - 1) // 2, passed, passed] = 1
            layer.kernel.assign(kernel)


def principal_kernels(patches: np.ndarray) -> np.ndarray:
    """Principal components float32 [values, 2 * values] of patches [n, values], the one of largest variance first.

    Each is scaled to variance 1 and followed by its opposite.
    """
    variances, directions = np.linalg.eigh(np.cov(patches, rowvar=False))
    scaled = directions / np.sqrt(variances + _FLOOR * variances.mean())
    scaled = scaled[:, ::-1]  # eigh begins with the smallest
    return np.stack([scaled, -scaled], axis=-1).reshape(len(scaled), -1).astype("float32")


def _patches(images: np.ndarray, kernel: tuple[int, int], each: int) -> np.ndarray:
    """About so many patches of each image, on a grid: float32 [n, height * width * channels], in a kernel's order."""
    windows = np.lib.stride_tricks.sliding_window_view(images, kernel, axis=(1, 2))
    step = max(1, int((windows.shape[1] * windows.shape[2] / max(1, each)) ** 0.5))
    windows = windows[:, ::step, ::step].transpose(0, 1, 2, 4, 5, 3)  # channels last
    return windows.reshape(-1, kernel[0] * kernel[1] * images.shape[-1])
