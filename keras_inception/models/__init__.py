"""The networks, one file a paper. This module is their catalogue: it registers every one and imports none of them."""

from keras_inception.registry import ModelEntry, register

ENTRIES = [
    ModelEntry(
        name="inception_v1",
        builder="keras_inception.models.inception_v1:InceptionV1",
        title="Going Deeper with Convolutions (2014)",
        url="https://arxiv.org/abs/1409.4842",
        input_size=224,
        min_size=32,
        parameters=6_617_624,
        multiply_adds=1_498_376_192,
        top1=69.8,
        top5=89.6,
        accuracy_source="TF-Slim",
        preprocessing="inception",
        aux_heads={"aux1": 0.3, "aux2": 0.3},
    ),
]

for _entry in ENTRIES:
    register(_entry)
