"""What a training run is made of: a tree of frozen dataclasses that JSON and the command line both mirror.

The docstring under a field is the help text of its command-line option.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from keras_inception import get_entry

from ..files import parse_json
from .places import full_path, full_source
from .rules import POSITIVE, SEED, Range, check
from .text import dataclass_from

OptionValue = bool | int | float | str
MAIN_HEAD = "predictions"
"""Name of the output that a network is trained for; others are auxiliary heads'."""


@dataclass(frozen=True)
class ModelConfig:
    """Which network is trained."""

    name: str = "inception_v1"
    """Registry id of the network; `keras-inception models` lists them."""
    alpha: Annotated[float, POSITIVE] = 1.0
    """Width multiplier: every layer's channels are scaled by it."""
    aux_heads: bool = True
    """Train with the network's auxiliary classifiers, weighted as its paper weights them."""
    image_size: Annotated[int, Range(0)] = 224
    """Height and width of the input, in pixels; 0: those that the network was published for."""
    channels: int = 3
    """Colour channels of the input: 3, or 1 for grey images."""
    batch_norm_momentum: Annotated[float | None, Range(0, 1)] = None
    """Momentum of the batch-norm statistics; none keeps the network's own, which suits long runs only."""
    weights: str = ""
    """Weights to start from: imagenet, the tag of a released set (`keras-inception weights` lists them), or a weights
    file. The classifiers start afresh. Empty: start from random weights."""
    accept_license: bool = False
    """Accept a licence of those weights that forbids commercial use."""
    unfreeze_from: str = ""
    """First block that trains, with all that follows it (`keras-inception summary NAME` lists the blocks), such as
    block14; predictions for the classifier alone; auto for the last third of the network, by multiply-adds. Empty: all
    of the network."""
    batch_norm: Literal["auto", "frozen", "trainable"] = "auto"
    """Whether batch norms learn and normalise by the batch; auto freezes those of a network that starts from weights,
    and lets them train in any other."""
    whitened: bool = False
    """Take the kernels of the first convolution from the training images, as the principal components of their patches,
    and leave them so."""
    identity: bool = False
    """Begin with convolutions that pass their input on, on as many channels as they can."""
    options: dict[str, OptionValue] = field(default_factory=dict)
    """Further keywords of the network's builder, such as `stem=low_resolution`."""


@dataclass(frozen=True)
class AugmentConfig:
    """How a training image is varied; 0 (or 1 for min_area) switches a variation off."""

    min_area: Annotated[float, Range(0.01, 1)] = 1.0
    """Smallest share of the image's area that a random crop keeps, 0.05 in Inception's recipe; 1 crops nothing away."""
    max_aspect: Annotated[float, Range(1, 10)] = 4 / 3
    """Longest side of a random crop relative to its other side; the Inception papers' 4/3 means 3/4 to 4/3."""
    crop_padding: Annotated[int, Range(0)] = 0
    """Pixels of reflection added on each side before a random crop back to the image size."""
    flip: bool = False
    """Mirror half of the images left to right."""
    alternate_flips: bool = False
    """Mirror each image in every other epoch, instead of by chance: which half begins mirrored is drawn once."""
    brightness: Annotated[float, Range(0, 1)] = 0.0
    """Largest change of brightness, as a share of the full range."""
    contrast: Annotated[float, Range(0, 0.999)] = 0.0
    """Largest relative change of contrast."""
    saturation: Annotated[float, Range(0, 0.999)] = 0.0
    """Largest relative change of saturation; colour images only."""
    hue: Annotated[float, Range(0, 0.5)] = 0.0
    """Largest turn of the hue, as a share of the colour circle; colour images only."""
    erase: Annotated[float, Range(0, 1)] = 0.0
    """Share of the images of which a random rectangle becomes noise (random erasing)."""
    randaugment: Annotated[int, Range(0, 14)] = 0
    """Operations of RandAugment on each image."""
    randaugment_magnitude: Annotated[float, Range(0, 10)] = 9.0
    """Strength of RandAugment's operations, from 0 to 10."""
    mixup: Annotated[float, Range(0, 100)] = 0.0
    """Alpha of MixUp: images and targets are blended in pairs by a share drawn from Beta(alpha, alpha)."""
    cutmix: Annotated[float, Range(0, 100)] = 0.0
    """Alpha of CutMix: a rectangle comes from another image; with mixup as well, each batch draws one of the two."""
    unmixed_epochs: Annotated[int, Range(0)] = 0
    """Last epochs without MixUp and CutMix: the network ends on images as they are."""


@dataclass(frozen=True)
class PipelineConfig:
    """How images become batches."""

    batch_size: Annotated[int, Range(1)] = 64
    """Images in a training step."""
    validation_share: Annotated[float, Range(0.001, 0.9)] = 0.1
    """Share of the training images held out for validation where the data has no validation set of its own."""
    test_share: Annotated[float, Range(0.001, 0.9)] = 0.2
    """Share of all images held out for the test where the data has no test or validation set of its own."""
    split_seed: Annotated[int, SEED] = 0
    """Seed of the stratified split; apart from the run's seed, so that runs with other seeds share a test set."""
    max_bad_share: Annotated[float, Range(0, 1)] = 0.05
    """Training refuses data of which a larger share cannot be decoded; a smaller one is set aside and named."""
    cache_mb: Annotated[int, Range(0)] = 1024
    """Decoded images are kept in memory up to this many megabytes a split; 0 decodes anew in every epoch."""
    cache_dir: str = ""
    """Folder in which decoded images are kept on disk instead, however many, for all runs on them; it may be removed
    between runs. Empty: none."""
    shuffle_buffer: Annotated[int, Range(1)] = 10_000
    """Images that a streamed source (tfds, tfrecord) shuffles among; files and arrays are always shuffled as a
    whole, and so is a stream of no more images than this."""
    interpolation: Literal["bilinear", "bicubic", "area", "nearest"] = "bilinear"
    """How images are resized."""
    threads: Annotated[int, Range(0)] = 0
    """Threads that decode and augment; 0: one a core. The images are the same whatever the number."""
    central_crop: Annotated[float, Range(0.1, 1)] = 1.0
    """Share of the shorter side that evaluation keeps, in the centre; released weights mostly have 0.875."""
    balance_classes: bool = False
    """Weight the samples of each class by the inverse of its frequency; an image of several labels weighs as the
    rarest of them does."""
    class_weights: dict[str, float] = field(default_factory=dict)
    """Weight of the samples of a class, as CLASS=WEIGHT; unnamed classes weigh 1. An image of several labels weighs
    as the heaviest of them does."""
    service: str = ""
    """Address of a tf.data service dispatcher (grpc://HOST:PORT) whose workers prepare the batches; files only."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights are updated."""

    name: Literal["sgd", "rmsprop", "adamw"] = "sgd"
    """sgd with momentum, rmsprop (of Inception v3 and v4) or adamw."""
    learning_rate: Annotated[float, Range(0)] = 0.1
    """Peak learning rate; the schedule scales it."""
    momentum: Annotated[float, Range(0, 1)] = 0.9
    """Momentum of sgd and rmsprop."""
    rho: Annotated[float, Range(0, 1)] = 0.9
    """Decay of rmsprop's squared-gradient average."""
    epsilon: Annotated[float | None, Range(0)] = None
    """Added to the denominator of rmsprop (none: 1.0, as in the Inception papers) and adamw (none: 1e-7)."""
    weight_decay: Annotated[float, Range(0)] = 0.0
    """How fast weights shrink towards 0; decay says in which way, and decay_spares which ones do not."""
    decay: Literal["decoupled", "l2"] = "decoupled"
    """decoupled: a step takes learning rate times weight_decay off each weight. l2: half of weight_decay times the
    squared weights is part of the loss, as in the Inception papers; momentum carries it on, so that it weighs
    1 / (1 - momentum) times as much."""
    decay_spares: Literal["vectors", "depthwise", "nothing"] = "vectors"
    """vectors: biases and batch norms do not decay. depthwise: nor do depthwise kernels. nothing: all decay."""
    nesterov: bool = True
    """Let sgd look ahead (Nesterov's momentum)."""
    clip_norm: Annotated[float | None, POSITIVE] = None
    """Gradients are scaled down to this global norm where they exceed it, after they have been summed over devices."""
    ema_momentum: Annotated[float | None, Range(0, 1)] = None
    """Momentum of a moving average of all weights and batch-norm statistics, which is then validated and kept in their
    place; the Inception papers use 0.9999. None: no average."""
    layer_decay: Annotated[float, Range(0, 1, open=True)] = 1.0
    """Each block learns at this share of the rate of the block that follows it, the classifiers at the full rate: 0.65
    to 0.9 keeps the first blocks of trained weights near what they are; 1: all learn alike."""
    accumulate_steps: Annotated[int, Range(1)] = 1
    """Batches whose gradients are averaged into one update."""


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate moves."""

    name: Literal["cosine", "linear", "exponential", "constant"] = "cosine"
    """cosine and linear fall to the end of training; exponential multiplies by decay_rate every decay_epochs."""
    warmup_epochs: Annotated[float, Range(0)] = 0.0
    """Epochs over which the learning rate first rises from 0 to its peak."""
    final_share: Annotated[float, Range(0, 1)] = 0.0
    """What is left of the peak at the end of cosine or linear."""
    decay_rate: Annotated[float, Range(0, 1, open=True)] = 0.94
    """Factor of exponential; 0.94 every two epochs is Inception v3's."""
    decay_epochs: Annotated[float, POSITIVE] = 2.0
    """Epochs between the steps of exponential."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """What training minimises: a loss of the predictions, plus each auxiliary head's by its weight."""

    loss: Literal["auto", "cross_entropy", "binary", "asymmetric"] = "auto"
    """cross_entropy of a softmax, for one label an image. Of sigmoids, for several: binary, cross-entropy label by
    label, or asymmetric, which weighs down the many labels that are easily seen to be absent. auto: cross_entropy or
    binary, as the data is."""
    label_smoothing: Annotated[float, Range(0, 0.999)] = 0.0
    """Share of the target's mass spread evenly over all classes; Inception v3 trains with 0.1. Of several labels each
    goes by half of it towards 1/2."""
    aux_weight: Annotated[float | None, Range(0)] = None
    """Weight of each auxiliary head's loss; none: what the network's paper gives it."""
    teacher: str = ""
    """Learn from a trained network as well (distillation): a run folder, the tag of a released set, a weights
    file of ours, or several by commas, whose probabilities are averaged. It must know the same classes. Empty: learn
    from the labels alone."""
    teacher_weight: Annotated[float, Range(0, 1)] = 0.5
    """Share of the teacher in each head's loss; the labels have the rest."""
    temperature: Annotated[float, POSITIVE] = 2.0
    """By which the logits of teacher and student are divided before they are compared; higher ones show more of what
    the teacher thinks of the classes that it does not choose."""
    teacher_cache: str = ""
    """Folder in which the teacher's answers are kept by image and epoch, for further runs on the same images with the
    same seed, pipeline and image size. Empty: none."""


@dataclass(frozen=True)
class CheckpointConfig:
    """How often a run can be resumed from: the end of every epoch, and in between."""

    every_steps: Annotated[int, Range(0)] = 0
    """Steps between checkpoints within an epoch; 0: none by steps."""
    every_seconds: Annotated[float, Range(0)] = 600.0
    """Seconds between checkpoints within an epoch; 0: none by time."""
    keep: Annotated[int, Range(1)] = 2
    """How many of the last checkpoints stay, beside the best epoch's."""


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run: data, network and how the one learns from the other."""

    recipe: str = ""
    """Name of the recipe that this configuration started from."""
    data: str = "digits"
    """Where images come from: `digits`, `folder:PATH` (class sub-folders, or train/ and validation/ or test/ of
    those), `csv:FILE` (columns path and label or labels, maybe split and weight), several of these two joined by
    commas, `tfds:NAME` or `tfds:PATH` of a prepared data set, `hf:NAME`, `hf:NAME:CONFIG` or `hf:PATH` of Hugging Face
    datasets, `tfrecord:PATH` as `pack` writes it, `array:FILE.npz`."""
    test_data: str = ""
    """Where test images come from, in the same words; empty takes them from `data`."""
    epochs: Annotated[int, Range(1)] = 30
    """Passes over the training images."""
    patience: Annotated[int, Range(0)] = 0
    """Training ends early after so many epochs without a better validation cross-entropy; 0: it never does."""
    min_delta: Annotated[float, Range(0)] = 0.0
    """An epoch is better, for patience, where it lowers the validation cross-entropy by more than this."""
    calibrate: bool = False
    """Divide the logits of the predictions by a temperature that is fitted on the validation images after training, so
    that probabilities mean what they say; no image changes its class."""
    quantize: Literal["", "int8"] = ""
    """Train on what the network of model.weights (a run folder, the tag of a released set, or a weights file) computes
    as an int8 file, so that the file loses less (quantisation-aware training). It keeps its classifier, and teaches as
    well unless objective.teacher names others; of a run its network is taken, whatever `model` says. Empty: none."""
    seed: Annotated[int, SEED] = 0
    """Seeds the weights, dropout, shuffling and augmentation."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Keras dtype policy: mixed_float16 for NVIDIA GPUs, mixed_bfloat16 for newer GPUs and for CPUs with the
    instructions."""
    jit_compile: bool = False
    """Compile the training step with XLA: measure it on your machine, it pays on most GPUs."""
    steps_per_execution: Annotated[int, Range(1)] = 1
    """Steps run in one call into the backend."""
    deterministic: Literal["auto", "yes", "no"] = "auto"
    """TensorFlow's deterministic kernels: the same seed gives the same weights, bit for bit. auto: wherever there is no
    GPU, on which they cost time."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)

    def to_json(self) -> str:
        """Returns the configuration as indented JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """Reads what `to_json` wrote; fields that are absent take their defaults.

        Raises:
            ValueError: for text that is not JSON, an unknown field, or a value of the wrong type.
        """
        try:
            values = parse_json(text)
        except ValueError as error:
            raise ValueError(f"A training configuration is a JSON object. Received: {text[:40]!r} ({error})") from None
        config: TrainConfig = dataclass_from(cls, values, "")
        return config

    def validate(self) -> None:
        """Checks the values that types alone cannot.

        Raises:
            ValueError: with one sentence that names the field, its rule and the value received.
        """
        check(self)

    def resolved(self) -> "TrainConfig":
        """Returns the configuration with the network's own size for 0, and paths that hold in any working directory.

        Raises:
            ValueError: where no network has the name, and its size is asked for.
        """
        model = self.model
        if Path(model.weights).expanduser().is_file():  # a folder of the name of a weight set is none
            model = dataclasses.replace(model, weights=full_path(model.weights))
        if not model.image_size:
            model = dataclasses.replace(model, image_size=get_entry(model.name).input_size)
        if self.quantize:
            model = _of_run(model)
        objective = self.objective
        if self.quantize and objective.teacher_weight:
            objective = dataclasses.replace(objective, teacher=objective.teacher or model.weights)
        teachers = [
            full_path(name) if Path(name).expanduser().exists() else name for name in teachers_of(objective.teacher)
        ]
        cache = full_path(objective.teacher_cache)
        return dataclasses.replace(
            self,
            data=full_source(self.data),
            test_data=full_source(self.test_data),
            model=model,
            pipeline=dataclasses.replace(self.pipeline, cache_dir=full_path(self.pipeline.cache_dir)),
            objective=dataclasses.replace(objective, teacher=",".join(teachers), teacher_cache=cache),
        )


def _of_run(model: ModelConfig) -> ModelConfig:
    """What a run that is quantised was trained as, where the weights are those of a run."""
    folder = Path(model.weights).expanduser().resolve()
    if not model.weights or not (folder / "config.json").is_file():
        return model
    trained = TrainConfig.from_json((folder / "config.json").read_text("utf-8")).model
    return dataclasses.replace(trained, weights=str(folder), aux_heads=False, whitened=False, identity=False)


def teachers_of(specification: str) -> list[str]:
    """The teachers that `objective.teacher` names."""
    return [name.strip() for name in specification.split(",") if name.strip()]
