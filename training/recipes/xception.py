"""Xception on ImageNet, as in its paper (https://arxiv.org/abs/1610.02357, section 4.3).

    keras-inception train --recipe xception --output runs/xception

From the paper: stochastic gradient descent with momentum 0.9, learning rate 0.045 times 0.94 every two epochs, L2 of
1e-5, dropout 0.5 before the classifier, no auxiliary head, an average of the weights over time.

To expect, by the paper: top-1 accuracy 79.0 %, top-5 94.5 % from one crop.

Deviations: the paper gives neither the batch (60 GPUs in step) nor the epochs nor the distortions: batches of 256,
120 epochs and TF-Slim's distortions are chosen here.
"""

from ..config import ModelConfig, OptimizerConfig, PipelineConfig, TrainConfig
from ._imagenet import DATA, DISTORTIONS, SIX_PERCENT_EVERY_TWO_EPOCHS, VALIDATION_SHARE

CONFIG = TrainConfig(
    recipe="xception",
    data=DATA,
    epochs=120,
    model=ModelConfig(name="xception", aux_heads=False, image_size=299, options={"dropout": 0.5}),
    pipeline=PipelineConfig(batch_size=256, validation_share=VALIDATION_SHARE, central_crop=0.875, augment=DISTORTIONS),
    optimizer=OptimizerConfig(
        name="sgd",
        learning_rate=0.045,
        momentum=0.9,
        nesterov=False,
        weight_decay=1e-5,
        decay="l2",
        ema_momentum=0.9999,
    ),
    schedule=SIX_PERCENT_EVERY_TWO_EPOCHS,
)
