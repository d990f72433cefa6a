"""ShuffleNet 1x (3 groups) on ImageNet, as in its paper (https://arxiv.org/abs/1707.01083, section 4).

    keras-inception train --recipe shufflenet --output runs/shufflenet

From the paper: settings of ResNeXt, but weight decay 4e-5, a learning rate that falls evenly from 0.5 to 0, less
aggressive crops; 300,000 steps in batches of 1,024. `--model.alpha 0.5` and `--model.options groups=8` choose its
others.

To expect, by the paper: top-1 error 32.6 % from one crop.

Deviations: the paper does not give its crops: at least a quarter of the area here. Biases and batch norms do not
decay, as in the authors' program (https://github.com/megvii-model/ShuffleNet-Series), whose label smoothing is left
out.
"""

from ..config import AugmentConfig, ModelConfig, OptimizerConfig, PipelineConfig, ScheduleConfig, TrainConfig
from ._imagenet import DATA, VALIDATION_SHARE

CONFIG = TrainConfig(
    recipe="shufflenet",
    data=DATA,
    epochs=240,
    model=ModelConfig(name="shufflenet", aux_heads=False, image_size=224, options={"groups": 3}),
    pipeline=PipelineConfig(
        batch_size=1024,
        validation_share=VALIDATION_SHARE,
        central_crop=0.875,
        augment=AugmentConfig(min_area=0.25, flip=True, brightness=0.4, contrast=0.4, saturation=0.4),
    ),
    optimizer=OptimizerConfig(name="sgd", learning_rate=0.5, momentum=0.9, weight_decay=4e-5, decay="l2"),
    schedule=ScheduleConfig(name="linear"),
)
