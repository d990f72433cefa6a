"""The rules that the values of a training configuration keep, beyond their types."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_inception.training.config import TrainConfig

_INFINITY = float("inf")
SOURCES = ("folder", "tfds", "tfrecord", "array")
_TINY = 1e-12  # stands for "more than zero" in a closed range
_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, _INFINITY),
    "seed": (0, 2**31 - 1),
    "steps_per_execution": (1, _INFINITY),
    "model.alpha": (_TINY, _INFINITY),
    "model.image_size": (1, _INFINITY),
    "model.batch_norm_momentum": (0, 1),
    "pipeline.batch_size": (1, _INFINITY),
    "pipeline.validation_share": (0.001, 0.9),
    "pipeline.test_share": (0.001, 0.9),
    "pipeline.split_seed": (0, 2**31 - 1),
    "pipeline.max_bad_share": (0, 1),
    "pipeline.cache_mb": (0, _INFINITY),
    "pipeline.shuffle_buffer": (1, _INFINITY),
    "pipeline.threads": (0, _INFINITY),
    "pipeline.central_crop": (0.1, 1),
    "pipeline.augment.min_area": (0.01, 1),
    "pipeline.augment.max_aspect": (1, 10),
    "pipeline.augment.crop_padding": (0, _INFINITY),
    "pipeline.augment.brightness": (0, 1),
    "pipeline.augment.contrast": (0, 0.999),
    "pipeline.augment.saturation": (0, 0.999),
    "pipeline.augment.hue": (0, 0.5),
    "pipeline.augment.erase": (0, 1),
    "pipeline.augment.randaugment": (0, 14),
    "pipeline.augment.randaugment_magnitude": (0, 10),
    "pipeline.augment.mixup": (0, 100),
    "pipeline.augment.cutmix": (0, 100),
    "optimizer.learning_rate": (0, _INFINITY),
    "optimizer.momentum": (0, 1),
    "optimizer.rho": (0, 1),
    "optimizer.epsilon": (0, _INFINITY),
    "optimizer.weight_decay": (0, _INFINITY),
    "optimizer.clip_norm": (_TINY, _INFINITY),
    "optimizer.ema_momentum": (0, 1),
    "optimizer.accumulate_steps": (1, _INFINITY),
    "checkpoint.every_steps": (0, _INFINITY),
    "checkpoint.every_seconds": (0, _INFINITY),
    "checkpoint.keep": (1, _INFINITY),
    "schedule.warmup_epochs": (0, _INFINITY),
    "schedule.final_share": (0, 1),
    "schedule.decay_rate": (_TINY, 1),
    "schedule.decay_epochs": (_TINY, _INFINITY),
    "objective.label_smoothing": (0, 0.999),
    "objective.aux_weight": (0, _INFINITY),
}


def check(config: "TrainConfig") -> None:
    """Raises `ValueError`, one sentence, for the first rule that a configuration breaks."""
    for path, (low, high) in _RANGES.items():
        value: Any = config
        for name in path.split("."):
            value = getattr(value, name)
        if value is not None and not low <= value <= high:
            rule = f"at least {low:g}" if high == _INFINITY else f"between {low:g} and {high:g}"
            raise ValueError(f"{path} must be {rule}. Received: {value}")
    kinds = [f"{kind}:" for kind in SOURCES]
    if config.data != "digits" and not config.data.startswith(tuple(kinds)):
        raise ValueError(f"data must be digits or begin with {', '.join(kinds)}. Received: {config.data!r}")
    if config.test_data and not config.test_data.startswith(tuple(kinds)):
        raise ValueError(f"test_data must be empty or begin with {', '.join(kinds)}. Received: {config.test_data!r}")
    if config.pipeline.balance_classes and config.pipeline.class_weights:
        raise ValueError(
            "pipeline.balance_classes and pipeline.class_weights exclude each other. "
            f"Received: {config.pipeline.class_weights}"
        )
    if min(config.pipeline.class_weights.values(), default=0) < 0:
        raise ValueError(f"pipeline.class_weights must be at least 0. Received: {config.pipeline.class_weights}")
    if config.model.channels not in (1, 3):
        raise ValueError(f"model.channels must be 1 or 3. Received: {config.model.channels}")
    for name in ("saturation", "hue", "randaugment"):
        value = getattr(config.pipeline.augment, name)
        if config.model.channels == 1 and value:
            raise ValueError(
                f"pipeline.augment.{name} needs colour images (model.channels 3). Received: {value} with 1 channel"
            )
    if config.pipeline.augment.crop_padding >= config.model.image_size:
        raise ValueError(
            f"pipeline.augment.crop_padding must be smaller than model.image_size ({config.model.image_size}). "
            f"Received: {config.pipeline.augment.crop_padding}"
        )
