"""MobileNet v1 on ImageNet, as in its paper (https://arxiv.org/abs/1704.04861, section 3.2).

    keras-inception train --recipe mobilenet_v1 --output runs/mobilenet_v1

From the paper: RMSProp as for Inception v3 (its learning rate and schedule are taken here, too), no auxiliary head,
no label smoothing, fewer distortions through a limit on small crops, no weight decay on depthwise kernels, dropout
0.001. `--model.alpha 0.5` and `--model.image-size 160` are its width and resolution multipliers.

To expect, by the paper: top-1 accuracy 70.6 %; 63.7 % with alpha 0.5.

Deviations: the paper gives neither the smallest crop nor the epochs: a quarter of the area and 100 are chosen here.
"""

from dataclasses import replace

from ..config import ModelConfig, PipelineConfig, TrainConfig
from ._imagenet import DATA, DISTORTIONS, RMSPROP, SIX_PERCENT_EVERY_TWO_EPOCHS, VALIDATION_SHARE

CONFIG = TrainConfig(
    recipe="mobilenet_v1",
    data=DATA,
    epochs=100,
    model=ModelConfig(name="mobilenet_v1", aux_heads=False, image_size=224, options={"variant": "paper"}),
    pipeline=PipelineConfig(
        batch_size=32,
        validation_share=VALIDATION_SHARE,
        central_crop=0.875,
        augment=replace(DISTORTIONS, min_area=0.25),
    ),
    optimizer=replace(RMSPROP, decay_spares="depthwise"),
    schedule=SIX_PERCENT_EVERY_TWO_EPOCHS,
)
