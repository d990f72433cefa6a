"""The sub-command fit: photographs in, a proven file for phones out."""

from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from keras_inception.cli import tables
from keras_inception.cli.arguments import Json, Options, by_default
from keras_inception.cli.common import command, need_tensorflow

Photos = Positional[Annotated[str, arg(metavar="PHOTOS")]]
Several = "[NAME ...]"


def fit(
    photos: Photos,
    /,
    output: Annotated[Path | None, by_default("runs/fit-PHOTOS", "FOLDER")] = None,
    weights: Annotated[tuple[str, ...], by_default("what is at hand", "[FILE|TAG|NETWORK=FILE ...]")] = (),
    networks: Annotated[tuple[str, ...], by_default("what is at hand", Several)] = (),
    sizes: Annotated[tuple[int, ...], by_default("each network's own, and smaller ones", "[INT ...]")] = (),
    under: Annotated[Options | None, by_default("no limit", "latency_ms=N size_mb=N")] = None,
    over: Annotated[Options | None, by_default("the best", "accuracy=SHARE")] = None,
    choose: Annotated[str | None, by_default("the best", "NAME")] = None,
    pictures: int = 2000,
    epochs: Annotated[int | None, by_default("the recipe's", "INT")] = None,
    threads: Annotated[int | None, by_default("as many as cores", "INT")] = None,
    accept_license: FlagCreatePairsOff[bool] = False,
    json: Json = False,
) -> int:
    """Make a proven classifier for phones of a folder of photographs, with the network chosen by accuracy and cost.

    Called again after it was broken off, it goes on. Exits with 1 where the proof or a limit fails.

    Args:
        photos: Folder with a sub-folder a class, maybe under train, validation and test; a CSV file; or data in the
            words of train's --data.
        output: Folder for all of it.
        weights: Trained weights to compare.
        networks: Networks whose released weights are compared, downloaded where need be.
        sizes: Input sizes to compare, in pixels.
        under: Largest latency of the int8 file for a picture on this machine, and its size.
        over: Take the smallest and quickest network whose features reach this accuracy, such as accuracy=0.95.
        choose: Take this one, by its name in the table, such as mobilenet_v2-160.
        pictures: At most so many training pictures are compared on.
        epochs: Of the fine-tuning.
        threads: Threads of latency's measurements.
        accept_license: Accept a licence that forbids commercial use.
        json: Print JSON at the end, and all else on stderr.
    """
    need_tensorflow()
    from rich.console import Console

    from keras_inception.photos import making

    place = output or Path("runs") / f"fit-{Path(photos.rpartition(':')[2]).expanduser().resolve().stem}"
    fitted = making.fit(
        photos,
        place,
        weights=weights,
        networks=networks,
        sizes=sizes,
        under=under or {},
        over=over or {},
        named=choose,
        pictures=pictures,
        epochs=epochs,
        threads=threads,
        accept_license=accept_license,
        console=Console(stderr=True, highlight=False) if json else tables.console(),
    )
    if json:
        print((place / making.STATE).read_text(encoding="utf-8"), end="")
        return 0 if fitted.kept else 1
    tables.show_files(fitted.export.folder, fitted.export.manifest["files"])
    tables.show_proof(fitted.proof)
    tables.show_lines(
        ("accuracy", f"{tables.percent(fitted.accuracy, digits=2)} of the test pictures"),
        ("int8 file", f"{fitted.costs.latency_ms:.2f} ms a picture here, {fitted.costs.size_mb:.2f} MB"),
        ("report", fitted.run.folder / "report.html"),
        ("exports", fitted.export.folder),
        *(("missed", sentence) for sentence in fitted.missed),
        ("next", command("predict", fitted.export.folder, "PHOTO.jpg")),
        ("browser", command("app", fitted.run.folder, "--for", "web", "--serve")),
    )
    return 0 if fitted.kept else 1
