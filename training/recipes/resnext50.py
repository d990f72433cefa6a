"""ResNeXt-50 32x4d on ImageNet, as in its paper (https://arxiv.org/abs/1611.05431, section 4).

    keras-inception train --recipe resnext50 --output runs/resnext50

From the paper: stochastic gradient descent with momentum 0.9 in batches of 256, weight decay 1e-4, learning rate 0.1,
divided by 10 three times. From the program that it builds on (https://github.com/facebookarchive/fb.resnet.torch):
Nesterov's momentum, weight decay of all weights, a division every 30 epochs, crops of 8 to 100 % of the area,
brightness, contrast and saturation varied by 0.4. `--model.name resnext101` is the deeper network.

To expect, by the paper: top-1 error 22.2 % from one crop; 21.2 % with 101 layers.

Deviations: 120 epochs, so that each of the four rates lasts 30; no noise along the principal components of colour.
"""

from ..config import AugmentConfig, ModelConfig, OptimizerConfig, PipelineConfig, ScheduleConfig, TrainConfig
from ._imagenet import DATA, VALIDATION_SHARE

CONFIG = TrainConfig(
    recipe="resnext50",
    data=DATA,
    epochs=120,
    model=ModelConfig(name="resnext50", aux_heads=False, image_size=224),
    pipeline=PipelineConfig(
        batch_size=256,
        validation_share=VALIDATION_SHARE,
        central_crop=0.875,
        augment=AugmentConfig(min_area=0.08, flip=True, brightness=0.4, contrast=0.4, saturation=0.4),
    ),
    optimizer=OptimizerConfig(
        name="sgd", learning_rate=0.1, momentum=0.9, weight_decay=1e-4, decay="l2", decay_spares="nothing"
    ),
    schedule=ScheduleConfig(name="exponential", decay_rate=0.1, decay_epochs=30),
)
