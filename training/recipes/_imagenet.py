"""What the recipes on ImageNet share."""

from ..config import AugmentConfig, OptimizerConfig, ScheduleConfig

DATA = "tfds:imagenet2012"
VALIDATION_SHARE = 0.01
"""12,811 of the training images choose the best checkpoint; ImageNet's validation set is the test set."""

DISTORTIONS = AugmentConfig(min_area=0.05, flip=True, brightness=0.125, contrast=0.5, saturation=0.5, hue=0.2)
"""TF-Slim's for the Inception networks: crops of 5 to 100 % of the area, sides of 3:4 to 4:3, and colour.
https://github.com/tensorflow/models/blob/master/research/slim/preprocessing/inception_preprocessing.py"""

RMSPROP = OptimizerConfig(
    name="rmsprop",
    learning_rate=0.045,
    momentum=0.9,
    rho=0.9,
    epsilon=1.0,
    weight_decay=4e-5,
    decay="l2",
    ema_momentum=0.9999,
)
"""Of Inception v3 and its successors; 4e-5 and 0.9999 are TF-Slim's, the papers do not give them."""

SIX_PERCENT_EVERY_TWO_EPOCHS = ScheduleConfig(name="exponential", decay_rate=0.94, decay_epochs=2)
