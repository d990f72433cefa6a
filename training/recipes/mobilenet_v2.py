"""MobileNet v2 on ImageNet, as in its paper (https://arxiv.org/abs/1801.04381, section 6.1).

    keras-inception train --recipe mobilenet_v2 --output runs/mobilenet_v2

From the paper: RMSProp with decay and momentum 0.9, learning rate 0.045 times 0.98 every epoch, weight decay 4e-5,
batches of 96. From TF-Slim (https://github.com/tensorflow/models/tree/master/research/slim/nets/mobilenet): label
smoothing 0.1, average 0.9999, no weight decay on depthwise kernels, epsilon 1.0, dropout 0.2.

To expect, by the paper: top-1 accuracy 72.0 %.

Deviations: one process instead of 16 asynchronous ones; the paper does not give the epochs: 300 are chosen here,
after which the learning rate is down to 0.2 %.
"""

from dataclasses import replace

from ..config import ModelConfig, ObjectiveConfig, PipelineConfig, ScheduleConfig, TrainConfig
from ._imagenet import DATA, DISTORTIONS, RMSPROP, VALIDATION_SHARE

CONFIG = TrainConfig(
    recipe="mobilenet_v2",
    data=DATA,
    epochs=300,
    model=ModelConfig(name="mobilenet_v2", aux_heads=False, image_size=224),
    pipeline=PipelineConfig(batch_size=96, validation_share=VALIDATION_SHARE, central_crop=0.875, augment=DISTORTIONS),
    optimizer=replace(RMSPROP, decay_spares="depthwise"),
    schedule=ScheduleConfig(name="exponential", decay_rate=0.98, decay_epochs=1),
    objective=ObjectiveConfig(label_smoothing=0.1),
)
