"""The sub-commands about images: scan and pack."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, track
from rich.table import Column, Table
from tyro.conf import FlagCreatePairsOff, Positional, arg

from keras_inception.cli import tables
from keras_inception.cli.arguments import Json
from keras_inception.showing import print_table

if TYPE_CHECKING:
    from keras_inception.training.data.scanning import Scan

NAMED = 20

Scanned = Positional[Annotated[str, arg(metavar="FOLDER|DATA")]]
Data = Positional[Annotated[str, arg(metavar="DATA")]]


def scan(data: Scanned, /, large: float = 50.0, json: Json = False) -> int:
    """Look for images that training cannot use, or that are not what they seem; exit with 1 where one is an error.

    Errors are empty, truncated, damaged, unreadable and unsupported files, a picture in two classes, and a picture in
    two of train, validation and test. All else is noted.

    Args:
        data: Folder of images, with a sub-folder a class, maybe under train, validation and test; or a packed one; or
            csv:FILE; or several such as folder:A,folder:B.
        large: Megapixels above which an image is noted as large.
        json: Print JSON instead of tables: every file.
    """
    from keras_inception.training.data import scanning as room

    result = room.scan(data, large_megapixels=large, track=_tracked("looking at images"))
    if json:
        tables.print_json(result.to_dict())
    else:
        _show_scan(result, {**room.ERRORS, **room.NOTES})
    return 1 if result.errors else 0


def pack(
    data: Data,
    /,
    output: Annotated[Path, arg(aliases=["-o"], metavar="FOLDER")],
    shard_mb: int = 128,
    shuffle: bool = True,
    seed: int = 0,
    max_bad_share: float = 0.05,
    overwrite: FlagCreatePairsOff[bool] = False,
) -> None:
    """Pack images into TFRecord shards, for `--data tfrecord:FOLDER`; files that cannot be decoded are left out.

    Args:
        data: What to pack, in the words of train's --data, such as folder:PATH.
        output: Folder to write.
        shard_mb: About how many megabytes a shard holds.
        shuffle: Pack training images in a random order: reading shuffles neighbours only.
        seed: Seed of that order.
        max_bad_share: Refuse data of which a larger share cannot be decoded.
        overwrite: Replace an older packed folder.
    """
    from keras_inception import training

    with _progress("packing") as progress:
        index = training.pack(
            data, output, shuffle_seed=seed if shuffle else None, shard_mb=shard_mb, max_bad_share=max_bad_share,
            overwrite=overwrite, progress=progress,
        )  # fmt: skip
    for bad in index["left_out"]:
        print(f"keras-inception: left out {bad['path']}: {bad['reason']}", file=sys.stderr)
    images = {
        part: sum(shard["examples"] for name, shard in index["shards"].items() if name.startswith(f"{part}-"))
        for part in index["images"]
    }
    tables.show_lines(
        ("images", ", ".join(f"{count:,} {part}" for part, count in images.items())),
        ("shards", f"{len(index['shards'])}, {tables.megabytes(sum(s['bytes'] for s in index['shards'].values()))}"),
        ("data", f"tfrecord:{output}"),
    )


def _show_scan(result: "Scan", meanings: dict[str, str]) -> None:
    console = tables.console()
    formats = ", ".join(f"{count:,} {name or 'other'}" for name, count in result.formats.items())
    console.print(f"{result.files:,} images, {result.usable:,} usable" + (f": {formats}" if formats else ""))
    by_kind = {kind: [f for f in result.findings if f.kind == kind] for kind in meanings}
    table = Table("finding", Column("files", justify="right"), "meaning", box=box.SIMPLE_HEAD, pad_edge=False)
    errors = {finding.kind for finding in result.errors}
    for kind, findings in by_kind.items():
        if findings:
            style = "red" if kind in errors else "yellow"
            table.add_row(f"[{style}]{kind}[/{style}]", f"{len(findings):,}", meanings[kind])
    if table.row_count:
        print_table(console, table)
    for kind, findings in by_kind.items():
        for finding in findings[:NAMED]:
            detail = f": {finding.detail}" if finding.detail else ""
            console.print(f"{kind:<12} {escape(finding.path + detail)}", soft_wrap=True)
        if len(findings) > NAMED:
            console.print(f"{kind:<12} and {len(findings) - NAMED:,} more; --json names all")


def _tracked(what: str) -> Callable[[Iterable[Any], int], Iterable[Any]]:
    """A progress bar on stderr, so that output can be piped; shown on terminals only."""
    console = Console(stderr=True)
    return lambda items, total: track(
        items, what, total=total, console=console, transient=True, disable=not console.is_terminal
    )


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda total, done: bar.update(task, total=total, completed=done)
