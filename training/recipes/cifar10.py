"""cifar10."""

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
    epochs=14,
    model=ModelConfig(
        name="inception_v1",
        alpha=0.25,
        aux_heads=True,
        image_size=32,
        channels=3,
        batch_norm_momentum=0.9,
        options={"stem": "low_resolution"},
    ),
    pipeline=PipelineConfig(batch_size=128, validation_share=0.05, augment=AugmentConfig(crop_padding=4, flip=True)),
    optimizer=OptimizerConfig(name="sgd", learning_rate=0.1, momentum=0.9, weight_decay=5e-4),
    schedule=ScheduleConfig(name="cosine", warmup_epochs=1),
    objective=ObjectiveConfig(label_smoothing=0.0),
)
