"""From photographs to a proven file: look, compare trunks, choose, fine-tune, export, prove. Begin at `fit`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_inception import tflite, training
from keras_inception.photos import costs, picture
from keras_inception.photos.choosing import OVER, UNDER, Candidate, Costs, check_limits, check_name, choose
from keras_inception.photos.comparing import compare
from keras_inception.photos.looking import look
from keras_inception.photos.shipping import PROOF_IMAGES, export_run
from keras_inception.photos.telling import Teller
from keras_inception.photos.trunks import Trunk, find_trunks
from keras_inception.training.config import TrainConfig
from keras_inception.training.data.sources import Splits, open_splits
from keras_inception.training.files import alone, write_text
from keras_inception.training.recipes import load_recipe
from keras_inception.training.runs import folder as run_folder
from keras_inception.training.runs import run as run_names

RECIPE, STATE, FEATURES, PICTURE = "finetune", "fit.json", "features", "trunks.svg"
LEAST_PICTURES = 100  # fewer tell one network from another by chance


@dataclass(frozen=True)
class Fitted:
    """What `fit` made.

    Attributes:
        run: The trained run.
        export: Its files.
        proof: How they compare with the trained network.
        chosen: The trunk that was taken, with what it brought and cost.
        reason: Why that one.
        candidates: All trunks that were compared.
        accuracy: Of the trained network on the test pictures.
        costs: Of the finished int8 file.
        missed: A sentence for each limit that the finished file misses.
    """

    run: training.Run
    export: tflite.Export
    proof: tflite.Proof
    chosen: Candidate
    reason: str
    candidates: list[Candidate]
    accuracy: float
    costs: Costs
    missed: list[str]

    @property
    def kept(self) -> bool:
        """Whether the files are proven and keep the limits."""
        return self.proof.passed and not self.missed


def fit(
    photos: str | Path,
    output: str | Path,
    *,
    networks: Sequence[str] = (),
    weights: Sequence[str] = (),
    sizes: Sequence[int] = (),
    under: Mapping[str, Any] | None = None,
    over: Mapping[str, Any] | None = None,
    named: str | None = None,
    pictures: int = 2000,
    epochs: int | None = None,
    threads: int | None = None,
    accept_license: bool = False,
    console: Console | None = None,
) -> Fitted:
    """Makes a proven classifier for phones of a folder of photographs; nothing has to be known beforehand.

    Looks at the data; computes every trunk's features once, cross-validates a linear head on each and measures what
    their int8 files cost here; takes the most accurate that keeps the limits; fine-tunes it by the recipe `finetune`,
    exports, and proves the files. Called again after it was broken off, it goes on; with other limits, it uses all that
    is there already.

    Args:
        photos: Folder with a sub-folder a class, maybe under train/, validation/ and test/; or data in the words of
            `TrainConfig.data`.
        output: Folder for all of it: features/, trunks.svg, fit.json, and a run folder with its export.
        networks: Networks whose released weights are compared; downloaded where need be. Empty: what is at hand.
        weights: Weights files to compare, or tags; NETWORK=FILE where neither content nor name tells the network.
        sizes: Input sizes to compare in pixels; empty: each network's own, and smaller ones.
        under: Limits of the int8 file: `latency_ms` on this machine, `size_mb`.
        over: `accuracy` of a linear head: the smallest and quickest trunk that reaches it is taken, instead of the
            most accurate.
        named: Take this trunk, such as `"mobilenet_v2-160"`.
        pictures: At most so many training pictures are compared on, chosen by a fixed seed in equal shares.
        epochs: Of the fine-tuning; None: the recipe's.
        threads: Of latency's measurements; None: as many as there are cores.
        accept_license: Accept a licence that forbids commercial use.
        console: Where it is told; standard output by default.

    Raises:
        FileNotFoundError: No such photographs or weights.
        ValueError: An argument or the data breaks a rule, or no trunk keeps the limits: the sentence says which comes
            nearest.
    """
    tell = Teller(console or Console(highlight=False))
    limits = check_limits(under or {}, UNDER, "--under"), check_limits(over or {}, OVER, "--over")
    if pictures < LEAST_PICTURES:
        raise ValueError(f"--pictures must be at least {LEAST_PICTURES}. Received: {pictures}")
    if epochs is not None and epochs < 1:
        raise ValueError(f"--epochs must be at least 1. Received: {epochs}")
    place = Path(output)
    base = dataclasses.replace(load_recipe(RECIPE), data=specification(photos), recipe=RECIPE).resolved()
    base = dataclasses.replace(base, epochs=epochs or base.epochs)
    base.validate()
    at_hand = find_trunks(networks, weights, sizes, accept_license=accept_license)
    check_name(named, at_hand.trunks)
    splits = open_splits(base)  # whatever is wrong with the data is said before anything is written
    if splits.several:
        raise ValueError(
            "fit compares networks on photographs of one label each; train takes several. "
            f"Received: several labels in {base.data}"
        )
    _make(place)
    with alone(place, "A fit"):
        tell.heading("Photographs")
        identity = _identity(splits)
        tell.lines(look(base.data, splits, place, identity))
        tell.heading("Networks")
        tell.missing(at_hand)
        configs = {trunk.key: _config(base, trunk) for trunk in at_hand.trunks}
        classes = len(splits.class_names)
        candidates = compare(place / FEATURES, splits, identity, at_hand.trunks, base, pictures, tell)
        measured = _worth_measuring(candidates, named)
        with tell.progress("timing int8 files", len(measured)) as track:
            figures = costs.measure(place, {t.key: configs[t.key] for t in measured}, classes, threads, track)
        candidates = [dataclasses.replace(c, costs=figures.get(c.trunk.key)) for c in candidates]
        tell.candidates(candidates)
        chosen, reason = choose(candidates, under=limits[0], over=limits[1], named=named)
        picture.write(place / PICTURE, candidates, chosen, limits[0], limits[1])
        tell.choice(chosen, reason, place / PICTURE)
        tell.heading("Training")
        run = _trained(configs[chosen.trunk.key], place / chosen.name, tell)
        tell.heading("Export")
        fitted = _shipped(run, chosen, reason, candidates, limits[0], threads)
        write_text(place / STATE, json.dumps(_summary(fitted), indent=2) + "\n")
    return fitted


def specification(photos: str | Path) -> str:
    """The data that is meant: a folder or CSV file by its path, or as it stands."""
    path = Path(photos).expanduser()
    if path.is_dir():
        return f"folder:{path}"
    if path.is_file() and path.suffix.lower() in (".csv", ".tsv"):
        return f"csv:{path}"
    text = str(photos)
    if ":" not in text or (path.anchor and not path.exists()):
        raise FileNotFoundError(f"Photographs must be a folder, a CSV file or data such as tfds:NAME. Received: {text}")
    return text


def _identity(splits: Splits) -> str:
    """What tells these pictures from others: their names, labels and content, part by part."""
    described = [splits.describe(part) for part in run_names.SPLITS]
    return "-".join(f"{part['fingerprint']}{part['content']}" for part in described)


def _config(base: TrainConfig, trunk: Trunk) -> TrainConfig:
    model = dataclasses.replace(
        base.model, name=trunk.network, weights=trunk.source, image_size=trunk.size, accept_license=True
    )
    return dataclasses.replace(base, model=model)


def _worth_measuring(candidates: Sequence[Candidate], named: str | None) -> list[Trunk]:
    """The trunks that may be taken, and of a network that was given up whole the best one, to show what it costs."""
    best: dict[str, Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: (bool(c.reason), -c.accuracy)):
        best.setdefault(candidate.trunk.network, candidate)
    return [c.trunk for c in candidates if not c.reason or c.name == named or c in best.values()]


def _make(place: Path) -> None:
    """Makes the output folder; one that holds other things is refused."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"The output must be a folder that can be made. Received: {place} ({error})") from error
    known = (place / FEATURES).is_dir() or (place / STATE).is_file()
    if not known and (others := sorted(path.name for path in place.iterdir() if not path.name.startswith("."))):
        raise ValueError(f"The output must be a new folder, or an earlier fit's. Received: {place} with {others[0]}")


def _trained(config: TrainConfig, folder: Path, tell: Teller) -> training.Run:
    """The run of a configuration: the finished one that is there, the unfinished one gone on with, or a new one."""
    if not (folder / run_names.CONFIG).is_file():
        return training.train(config, folder, console=tell.console)
    run = training.Run.open(folder)
    if run.config != config:
        return training.train(config, folder, overwrite=True, console=tell.console)
    if run_folder.is_finished(folder):
        tell.line(f"{folder} is trained already")
        return run
    return training.resume(folder, console=tell.console)


def _shipped(
    run: training.Run,
    chosen: Candidate,
    reason: str,
    candidates: list[Candidate],
    under: Mapping[str, float],
    threads: int | None,
) -> Fitted:
    folder = run.folder / "export"
    exported = tflite.Export.open(folder) if folder.is_dir() else export_run(run, folder)
    proof = tflite.verify(run.model(), folder, run.batches("test", count=PROOF_IMAGES))
    file = exported.folder / "model_int8.tflite"
    (timing,) = tflite.benchmark([file], threads=threads)
    reached = Costs(timing.median_ms, file.stat().st_size / 1e6)
    missed = [
        f"{name} of the finished file is {getattr(reached, name):.3g}, over the limit of {value:g}"
        for name, value in under.items()
        if getattr(reached, name) > value
    ]
    accuracy = float(run.read_json(run_names.METRICS)["test_accuracy"])
    return Fitted(run, exported, proof, chosen, reason, candidates, accuracy, reached, missed)


def _summary(fitted: Fitted) -> dict[str, object]:
    rows = [{"name": candidate.name, **dataclasses.asdict(candidate)} for candidate in fitted.candidates]
    return {
        "chosen": fitted.chosen.name,
        "reason": fitted.reason,
        "run": str(fitted.run.folder),
        "accuracy": fitted.accuracy,
        "costs": dataclasses.asdict(fitted.costs),
        "proven": fitted.proof.passed,
        "missed": fitted.missed,
        "candidates": rows,
    }
