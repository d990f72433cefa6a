r"""GoogLeNet on CIFAR-10, a quarter as wide, with the low-resolution stem.

    keras-inception train --recipe cifar10 --output runs/cifar10 \
        --data folder:cifar10/train --test-data folder:cifar10/test

Without `--data`, the whole of CIFAR-10 comes from TFDS. What follows is for 10,000 training images (1,000 a class).

Accuracy: 74.9 % on 2,000 test images with seed 0; 77.6 % with `--precision mixed_bfloat16`.
Time: 22 minutes on 2 cores of an AMD EPYC, 60 seconds an epoch; in mixed_bfloat16 26 minutes of one core's time.

Chosen here: the decay. It is decoupled, so that 0.005 is what an L2 penalty of 0.0005 is to SGD with momentum 0.9. A
tenth of it, without smoothing, ended at 73.0 % after 14 epochs with a rate of 0.08.
"""

from keras_inception.training.config import (
    AugmentConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    PipelineConfig,
    ScheduleConfig,
    TrainConfig,
)

CONFIG = TrainConfig(
    recipe="cifar10",
    data="tfds:cifar10",
    epochs=20,
    model=ModelConfig(
        name="inception_v1",
        alpha=0.25,
        aux_heads=True,
        image_size=32,
        channels=3,
        batch_norm_momentum=0.9,
        options={"stem": "low_resolution"},
    ),
    pipeline=PipelineConfig(batch_size=64, validation_share=0.05, augment=AugmentConfig(crop_padding=4, flip=True)),
    optimizer=OptimizerConfig(name="sgd", learning_rate=0.1, momentum=0.9, weight_decay=5e-3),
    schedule=ScheduleConfig(name="cosine", warmup_epochs=1),
    objective=ObjectiveConfig(label_smoothing=0.1),
)
