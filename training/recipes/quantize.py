r"""A trained network, trained on for two epochs as what its int8 file computes: quantisation-aware training.

    keras-inception train --recipe quantize --model.weights runs/mine --data folder:PATH --output runs/mine-int8
    keras-inception export runs/mine-int8

The network, its size and its classifier are those of the run that is named; the tag of a released set, or a weights
file that tells its network, will do as well where the data has its classes. The trained network's own answers are half
of what is learnt.
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
    recipe="quantize",
    data="folder:photos",
    epochs=2,
    quantize="int8",
    model=ModelConfig(name="mobilenet_v2", aux_heads=False, image_size=0, weights="imagenet"),
    pipeline=PipelineConfig(batch_size=32, augment=AugmentConfig(min_area=0.5, flip=True)),
    optimizer=OptimizerConfig(name="adamw", learning_rate=1e-5, weight_decay=0.0),
    schedule=ScheduleConfig(name="cosine"),
    objective=ObjectiveConfig(teacher_weight=0.5, temperature=1.0),
)
