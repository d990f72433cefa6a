"""digits."""

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
    recipe="digits",
    data="digits",
    epochs=30,
    model=ModelConfig(
        name="inception_v1",
        alpha=0.25,
        aux_heads=True,
        image_size=16,
        channels=1,
        batch_norm_momentum=0.9,
        options={"stem": "low_resolution"},
    ),
    pipeline=PipelineConfig(batch_size=64, augment=AugmentConfig(crop_padding=2, contrast=0.3)),
    optimizer=OptimizerConfig(name="sgd", learning_rate=0.1, momentum=0.9, weight_decay=5e-4),
    schedule=ScheduleConfig(name="cosine", warmup_epochs=2),
    objective=ObjectiveConfig(label_smoothing=0.1),
)
