"""Inception v3 on ImageNet, as in its paper (https://arxiv.org/abs/1512.00567, section 8).

    keras-inception train --recipe inception_v3 --output runs/inception_v3

From the paper: RMSProp with decay 0.9 and epsilon 1.0, learning rate 0.045 times 0.94 every two epochs, gradients
clipped at 2.0, label smoothing 0.1, a batch-normalised auxiliary head, batches of 32 for 100 epochs, an average of
the weights over time. From TF-Slim: momentum 0.9, L2 of 4e-5 on the kernels alone, average 0.9999, the auxiliary
head's weight of 0.4, crops of 5 to 100 % of the area, dropout 0.2.

To expect, by the paper: top-1 error 21.2 %, top-5 5.6 % from one crop, of the 48,238 images that are not blacklisted
(`evaluate --without LIST`); TF-Slim reports 78.0 % and 93.9 % of all.

Deviations: one process with batches of 32 instead of 50 asynchronous replicas; gradients are clipped by their global
norm.
"""

from dataclasses import replace

from ..config import ModelConfig, ObjectiveConfig, PipelineConfig, TrainConfig
from ._imagenet import DATA, DISTORTIONS, RMSPROP, SIX_PERCENT_EVERY_TWO_EPOCHS, VALIDATION_SHARE

CONFIG = TrainConfig(
    recipe="inception_v3",
    data=DATA,
    epochs=100,
    model=ModelConfig(name="inception_v3", image_size=299),
    pipeline=PipelineConfig(batch_size=32, validation_share=VALIDATION_SHARE, central_crop=0.875, augment=DISTORTIONS),
    optimizer=replace(RMSPROP, clip_norm=2.0),
    schedule=SIX_PERCENT_EVERY_TWO_EPOCHS,
    objective=ObjectiveConfig(label_smoothing=0.1),
)
