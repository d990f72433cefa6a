r"""The network of `cifar10` on all 50,000 training images of CIFAR-10.

    keras-inception train --recipe cifar10_full --output runs/cifar10_full --precision mixed_bfloat16

The images come from TFDS. Where they lie in folders, add `--data folder:cifar10/train --test-data folder:cifar10/test`.

Accuracy: not measured. A network of such a plan passed 94 % in ten epochs in "94% on CIFAR-10 in 3.29 Seconds on a
Single GPU", Jordan, 2024, https://arxiv.org/abs/2404.00498.
Time: not measured; 50,000 images are 5.3 times those of an epoch of `cifar10`.

Chosen here: everything that `cifar10` has, less MixUp and CutMix, without which so many images are learnt in fewer
epochs.
"""

from dataclasses import replace

from ..config import AugmentConfig
from .cifar10 import CONFIG as CIFAR10

CONFIG = replace(
    CIFAR10,
    recipe="cifar10_full",
    epochs=20,
    pipeline=replace(
        CIFAR10.pipeline,
        validation_share=0.02,
        augment=AugmentConfig(crop_padding=4, alternate_flips=True, erase=0.25),
    ),
)
