r"""GoogLeNet on 17 kinds of flowers from random weights (https://www.robots.ox.ac.uk/~vgg/data/flowers/17/).

    keras-inception train --recipe flowers17 --output runs/flowers17 --data folder:flowers17

60 images a class are few for a network without prior knowledge: this recipe shows what distorted crops, colour and
auxiliary heads make of them. `finetune` starts from ImageNet instead.

Time: 18 minutes for everything on 2 cores of an AMD EPYC that others used as well, 750 seconds of CPU time.
Accuracy: 84.1 % on the 170 images of the validation folder (143 right), which training does not see, with seed 0.
"""

from ..config import (
    AugmentConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    PipelineConfig,
    ScheduleConfig,
    TrainConfig,
)

CONFIG = TrainConfig(
    recipe="flowers17",
    data="folder:flowers17",
    epochs=60,
    model=ModelConfig(
        name="inception_v1",
        alpha=0.5,
        aux_heads=True,
        image_size=128,
        batch_norm_momentum=0.9,
    ),
    pipeline=PipelineConfig(
        batch_size=32,
        augment=AugmentConfig(min_area=0.25, flip=True, brightness=0.15, contrast=0.3, saturation=0.3),
    ),
    optimizer=OptimizerConfig(name="sgd", learning_rate=0.05, momentum=0.9, weight_decay=1e-3),
    schedule=ScheduleConfig(name="cosine", warmup_epochs=3),
    objective=ObjectiveConfig(label_smoothing=0.1),
)
