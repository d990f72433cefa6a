"""GoogLeNet on ImageNet, as in its paper (https://arxiv.org/abs/1409.4842, sections 5 and 6).

    keras-inception train --recipe inception_v1 --output runs/inception_v1

From the paper: stochastic gradient descent with momentum 0.9, a learning rate that falls by 4 % every 8 epochs, an
average of the weights over time, crops of 8 to 100 % of the area with sides of 3:4 to 4:3, distorted colours, dropout
0.4, two auxiliary heads weighted 0.3. From the paper on batch normalisation (https://arxiv.org/abs/1502.03167,
section 4.2), whose network is a variant with two 3x3 convolutions in place of each 5x5: learning rate 0.0015 in
batches of 32, for 31 million steps. L2 of 2e-4 on the kernels alone is BVLC's
(https://github.com/BVLC/caffe/tree/master/models/bvlc_googlenet); the paper gives none.

To expect, by the paper: top-5 error 10.07 % from one crop, 9.15 % from 10, 7.89 % from 144 (`evaluate --crops 144`).

Deviations: one process instead of asynchronous replicas; images are scaled to [-1, 1] instead of losing their mean;
resized bilinearly throughout; the strength of the colour distortions is TF-Slim's.
"""

from dataclasses import replace

from ..config import ModelConfig, OptimizerConfig, PipelineConfig, ScheduleConfig, TrainConfig
from ._imagenet import DATA, DISTORTIONS, VALIDATION_SHARE

CONFIG = TrainConfig(
    recipe="inception_v1",
    data=DATA,
    epochs=774,
    model=ModelConfig(name="inception_v1", image_size=224, options={"variant": "paper"}),
    pipeline=PipelineConfig(
        batch_size=32,
        validation_share=VALIDATION_SHARE,
        central_crop=0.875,
        augment=replace(DISTORTIONS, min_area=0.08),
    ),
    optimizer=OptimizerConfig(
        name="sgd",
        learning_rate=0.0015,
        momentum=0.9,
        nesterov=False,
        weight_decay=2e-4,
        decay="l2",
        ema_momentum=0.9999,
    ),
    schedule=ScheduleConfig(name="exponential", decay_rate=0.96, decay_epochs=8),
)
