"""Inception-ResNet v1 on ImageNet, as in its paper (https://arxiv.org/abs/1602.07261, section 4).

    keras-inception train --recipe inception_resnet_v1 --output runs/inception_resnet_v1

From the paper: RMSProp with decay 0.9 and epsilon 1.0, learning rate 0.045 times 0.94 every two epochs, dropout 0.2,
an average of the weights over time. From TF-Slim: momentum 0.9, L2 of 4e-5 on the kernels alone, average 0.9999,
crops of 5 to 100 % of the area. Label smoothing of 0.1 is Inception v3's; the paper does not speak of it.

To expect, by the paper, of the images that are not blacklisted (`evaluate --without LIST`): top-1 error 21.3 %, top-5
5.5 % from one crop; 19.8 % and 4.6 % from 12.

Deviations: one process with batches of 32 instead of 20 asynchronous replicas, whose batches the paper does not give;
nor does it give the number of epochs. The scales of the residuals are facenet's (0.17, 0.10, 0.20), within the
paper's 0.1 to 0.3.
"""

from ..config import ModelConfig, ObjectiveConfig, PipelineConfig, TrainConfig
from ._imagenet import DATA, DISTORTIONS, RMSPROP, SIX_PERCENT_EVERY_TWO_EPOCHS, VALIDATION_SHARE

CONFIG = TrainConfig(
    recipe="inception_resnet_v1",
    data=DATA,
    epochs=160,
    model=ModelConfig(name="inception_resnet_v1", aux_heads=False, image_size=299, options={"variant": "paper"}),
    pipeline=PipelineConfig(batch_size=32, validation_share=VALIDATION_SHARE, central_crop=0.875, augment=DISTORTIONS),
    optimizer=RMSPROP,
    schedule=SIX_PERCENT_EVERY_TWO_EPOCHS,
    objective=ObjectiveConfig(label_smoothing=0.1),
)
