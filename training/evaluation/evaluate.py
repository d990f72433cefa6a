"""Evaluation of trained networks, alone or together, on one view of each image or on many."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import Progress

from keras_inception.showing import can_move, in_place

from ..config import TrainConfig
from ..data.images import AnyImages
from ..data.parallel import calls, untuned
from ..data.shards import damage_told
from ..data.sources import open_labelled
from ..pipeline.crops import check_crops
from ..pipeline.crops import crops as crops_of
from ..pipeline.preparing import evaluation_batches
from ..runs.run import EVALUATION, THRESHOLDS, Run, predictions_of
from .labels import choose_thresholds
from .result import Evaluation, _figures, summarise, summarise_labels


def evaluate(
    run: Run | Sequence[Run],
    *,
    split: str = "test",
    data: str | None = None,
    crops: int = 1,
    without: Sequence[str] = (),
    console: Console | None = None,
    network: keras.Model | None = None,
) -> Evaluation:
    """Evaluates a run's best checkpoint, or those of several runs together, and writes the result into the run folder.

    The run's own test set goes to evaluation.json; the file of anything else says in its name what it is, such as
    evaluation-validation.json or evaluation-test-144crops.json. Where that is not all, as with two sets of other data,
    the second is evaluation-data-2.json, and what is inside tells. An ensemble's is written into the first run's
    folder.

    Where an image may have several labels, they are decided at thresholds that are chosen on the run's validation
    images, for the largest F1 of each class; an ensemble's are the mean of its runs'.

    Args:
        run: the run; or several, whose probabilities are averaged.
        split: train, validation or test.
        data: other data to evaluate on, in the words of `TrainConfig.data`; its classes must be among the run's.
        crops: 1 prepares images as in training; 2, 6, 10, 12 and 144 average over several views (see
            `training.pipeline.crops`).
        without: what to leave out, as the papers leave out ImageNet's blacklisted images: names of classes, names of
            images (path, file name or stem), or text files that hold such names, one a line. The result then also
            holds the figures of all images.
        console: where progress is shown; standard error by default, and nothing where it is no terminal.
        network: of a single run, where it is loaded already.

    Raises:
        FileNotFoundError: where there is no checkpoint or no such data.
        ValueError: where classes, checkpoint, data or the runs of an ensemble disagree, or `without` names nothing.
    """
    check_crops(crops)
    runs = [run] if isinstance(run, Run) else list(run)
    # Before the data: a run that is at odds with itself ends here.
    networks = [network or member.model() for member in runs]
    opened = [_images(member, split, data) for member in runs]
    _check_ensemble(runs, opened)
    images, class_names = opened[0], runs[0].class_names
    kept = _kept(images, class_names, without)
    console = console or Console(stderr=True)
    bar = in_place(Progress(console=console, transient=True, disable=not can_move(console)))
    with bar as progress:
        task = progress.add_task("evaluating", total=len(runs) * len(images.labels))
        probabilities = np.zeros((len(images.labels), len(class_names)), np.float32)
        for member, network, its_images in zip(runs, networks, opened, strict=True):
            predicted = predict(network, its_images, member.config, crops, lambda count: progress.advance(task, count))
            probabilities += predicted / len(runs)

    places = np.flatnonzero(kept)
    shown = probabilities[kept], images.labels[kept], [images.names[i] for i in places], class_names, data or split
    thresholds = None
    if images.labels.ndim == 2:
        thresholds = np.mean(
            [_thresholds(member, network) for member, network in zip(runs, networks, strict=True)], axis=0
        )
    result = summarise(*shown) if thresholds is None else summarise_labels(*shown, thresholds)
    everything = None
    if len(places) < len(kept):
        everything = _figures(probabilities, images.labels, thresholds)
        misses = [dataclasses.replace(miss, index=int(places[miss.index])) for miss in result.misclassified]
        result = dataclasses.replace(result, misclassified=misses)
    result = dataclasses.replace(
        result,
        crops=crops,
        runs=[str(member.folder) for member in runs] if len(runs) > 1 else [],
        without=list(without),
        with_all_images=everything,
    )
    parts = ["data" if data is not None else split]
    parts += [f"{crops}crops"] * (crops > 1) + ["ensemble"] * (len(runs) > 1) + ["without"] * bool(without)
    runs[0].write_json(_file_for(runs[0], "-".join(parts), result), result.to_dict())
    return result


def predict(
    model: keras.Model, images: AnyImages, config: TrainConfig, crops: int = 1, advance: Any = None
) -> np.ndarray:
    """Probabilities float32 [n, classes] of images in index order, the mean over the crops of each.

    Args:
        model: takes pixels in 0..255.
        images: what to predict.
        config: how the images are prepared.
        crops: views of each image.
        advance: called with a number of images whenever they are done.
    """

    def call(pixels: np.ndarray) -> np.ndarray:
        answers: np.ndarray = predictions_of(model.predict_on_batch(pixels))
        return answers

    return answers_of(call, images, config, crops, advance)


@damage_told()
def answers_of(
    call: Callable[[np.ndarray], np.ndarray],
    images: AnyImages,
    config: TrainConfig,
    crops: int = 1,
    advance: Any = None,
) -> np.ndarray:
    """What a function of pixels answers to images, as `predict` does for a model.

    Args:
        call: from pixels in 0..255, float32 [n, height, width, channels], to probabilities [n, classes].
        images: what to predict.
        config: how the images are prepared.
        crops: views of each image.
        advance: called with a number of images whenever they are done.
    """
    if crops == 1:
        views = evaluation_batches(images, config).map(lambda pixels, _: pixels[:, None])
    else:
        views = images.elements().map(
            lambda _, handle: crops_of(images.decode(handle), config, crops),
            num_parallel_calls=calls(config.pipeline.threads),
        )
        views = views.batch(max(1, config.pipeline.batch_size // crops))
        views = untuned(views, config.pipeline.threads).prefetch(2)
    means: list[np.ndarray] = []
    at_once = config.pipeline.batch_size  # 144 crops are more than a training batch
    for batch in views.as_numpy_iterator():
        count, of_each = batch.shape[:2]
        pixels = batch.reshape(-1, *batch.shape[2:])
        parts = [call(pixels[start : start + at_once].astype(np.float32)) for start in range(0, len(pixels), at_once)]
        probabilities = np.concatenate(parts).astype(np.float64).reshape(count, of_each, -1)
        means.append(probabilities.mean(axis=1).astype(np.float32))
        if advance is not None:
            advance(count)
    return np.concatenate(means)


def _file_for(run: Run, what: str, result: Evaluation) -> str:
    """The file of an evaluation: its own of an earlier time, or the first that none of another kind has taken."""
    if what == "test":
        return EVALUATION
    asked = result.to_dict()
    for number in itertools.count(1):
        name = f"evaluation-{what}{f'-{number}' if number > 1 else ''}.json"
        try:
            found = run.read_json(name)
        except ValueError:  # not ours any more
            return name
        if all(found.get(key, asked[key]) == asked[key] for key in ("data", "runs", "without")):
            return name
    raise AssertionError


def _thresholds(run: Run, network: keras.Model) -> np.ndarray:
    """A run's thresholds by class, chosen on its validation images when they are first asked for, and kept."""
    if run.thresholds is None:
        validation = run.splits.validation
        chosen = choose_thresholds(predict(network, validation, run.config), validation.labels)
        run.write_json(THRESHOLDS, dict(zip(run.class_names, chosen.tolist(), strict=True)))
    return np.array(run.thresholds)


def _images(run: Run, split: str, data: str | None) -> AnyImages:
    if data is None:
        return run.splits[split]
    return open_labelled(data, run.config, run.class_names, several=run.several)[0]


def _check_ensemble(runs: Sequence[Run], opened: Sequence[AnyImages]) -> None:
    if not runs:
        raise ValueError("An evaluation needs at least one run. Received: none")
    for run, images in zip(runs, opened, strict=True):
        if run.class_names != runs[0].class_names:
            raise ValueError(
                f"The runs of an ensemble must have the same classes. Received: {runs[0].folder} and {run.folder}"
            )
        if images.labels.ndim != opened[0].labels.ndim:
            raise ValueError(
                "The runs of an ensemble must have several labels an image, or all of them one. "
                f"Received: {runs[0].folder} and {run.folder}"
            )
        if images.names != opened[0].names:
            raise ValueError(
                "The runs of an ensemble must be evaluated on the same images. "
                f"Received: {len(opened[0].names)} of {runs[0].folder} and {len(images.names)} others of {run.folder}"
            )


def _kept(images: AnyImages, class_names: list[str], without: Sequence[str]) -> np.ndarray:
    """Which images are not left out: bool [n]."""
    entries: list[str] = []
    for entry in without:
        is_file = entry not in class_names and entry not in images.names and Path(entry).is_file()
        entries += [line.strip() for line in Path(entry).read_text("utf-8").splitlines()] if is_file else [entry]
    asked = {entry for entry in entries if entry}
    left_out = np.zeros(len(images.labels), bool)
    found = set()
    for i, (name, label) in enumerate(zip(images.names, images.labels, strict=True)):
        shown = [class_names[i] for i in (np.flatnonzero(label) if np.ndim(label) else [label])]
        hits = asked & {*shown, name, Path(name).name, Path(name).stem}
        left_out[i] = bool(hits)
        found |= hits
    strangers = sorted(asked - found - set(class_names))
    if strangers:
        raise ValueError(
            "What is left out must be a class, an image of the evaluated data, or a text file that names such. "
            f"Received: {strangers[0]!r}" + (f" and {len(strangers) - 1} more unknown" if strangers[1:] else "")
        )
    if left_out.all():
        raise ValueError(f"An evaluation must keep some of its images. Received: all {len(left_out)} left out")
    return ~left_out
