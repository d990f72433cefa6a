"""Inception v4 on ImageNet, as in its paper (https://arxiv.org/abs/1602.07261, section 4).

    keras-inception train --recipe inception_v4 --output runs/inception_v4

From the paper: RMSProp with decay 0.9 and epsilon 1.0, learning rate 0.045 times 0.94 every two epochs, dropout 0.2,
an average of the weights over time. From TF-Slim: momentum 0.9, L2 of 4e-5 on the kernels alone, average 0.9999,
crops of 5 to 100 % of the area, an auxiliary head weighted 0.4. Label smoothing of 0.1 is Inception v3's; the paper
does not speak of it.

To expect, by the paper, of the images that are not blacklisted (`evaluate --without LIST`): top-1 error 20.0 %, top-5
5.0 % from one crop; 18.7 % and 4.2 % from 12, 17.7 % and 3.8 % from 144.

Deviations: one process with batches of 32 instead of 20 asynchronous replicas, whose batches the paper does not give;
nor does it give the number of epochs.
"""

from ..config import ModelConfig, ObjectiveConfig, PipelineConfig, TrainConfig
from ._imagenet import DATA, DISTORTIONS, RMSPROP, SIX_PERCENT_EVERY_TWO_EPOCHS, VALIDATION_SHARE

CONFIG = TrainConfig(
    recipe="inception_v4",
    data=DATA,
    epochs=160,
    model=ModelConfig(name="inception_v4", image_size=299),
    pipeline=PipelineConfig(batch_size=32, validation_share=VALIDATION_SHARE, central_crop=0.875, augment=DISTORTIONS),
    optimizer=RMSPROP,
    schedule=SIX_PERCENT_EVERY_TWO_EPOCHS,
    objective=ObjectiveConfig(label_smoothing=0.1),
)
