"""BN-Inception on ImageNet, the run that its paper calls BN-x30 (https://arxiv.org/abs/1502.03167, section 4.2).

    keras-inception train --recipe inception_v2 --output runs/inception_v2

From the paper: momentum, batches of 32, learning rate 0.045 (30 times GoogLeNet's), falling 6 times faster than
GoogLeNet's 4 % every 8 epochs, L2 a fifth of GoogLeNet's, no dropout, weaker distortions of colour, 6 million steps.
The network is that of its figure 5, with a separable first convolution. The average over time is GoogLeNet's.

To expect, by the paper: top-1 accuracy 74.8 % from one crop.

Deviations: one process instead of 5 asynchronous steps at a time; GoogLeNet's L2 is taken as BVLC's 2e-4; the pool
projections of 4c and 4d have the 128 channels of the table, where its sums say 96; colours vary by brightness and
saturation alone.
"""

from dataclasses import replace

from ..config import ModelConfig, OptimizerConfig, PipelineConfig, ScheduleConfig, TrainConfig
from ._imagenet import DATA, DISTORTIONS, VALIDATION_SHARE

CONFIG = TrainConfig(
    recipe="inception_v2",
    data=DATA,
    epochs=150,
    model=ModelConfig(
        name="inception_v2",
        aux_heads=False,
        image_size=224,
        options={"variant": "paper", "stem": "separable"},
    ),
    pipeline=PipelineConfig(
        batch_size=32,
        validation_share=VALIDATION_SHARE,
        central_crop=0.875,
        augment=replace(DISTORTIONS, min_area=0.08, contrast=0.0, hue=0.0),
    ),
    optimizer=OptimizerConfig(
        name="sgd",
        learning_rate=0.045,
        momentum=0.9,
        nesterov=False,
        weight_decay=4e-5,
        decay="l2",
        ema_momentum=0.9999,
    ),
    schedule=ScheduleConfig(name="exponential", decay_rate=0.96, decay_epochs=8 / 6),
)
