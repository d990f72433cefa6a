"""Tables of the images that the fixture `here` lays out: 24 digits of three classes."""

from pathlib import Path

PATHS = [f"digit_{label}/{number:03}.png" for label in range(3) for number in range(8)]
DIGITS = [(path, path.split("/")[0]) for path in PATHS]
SPLIT = [(path, label, "test" if path.endswith("007.png") else "train") for path, label in DIGITS]

_OWN = [label for _, label in DIGITS]
SEVERAL = [  # several labels: the own class, of some the next one too; every eighth has none
    (path, ["", "|".join(sorted({own, f"digit_{(int(own[-1]) + 1) % 3}"})), own][min(number % 8, 2)])
    for number, (path, own) in enumerate(zip(PATHS, _OWN, strict=True))
]


def write(place: Path, text: str | bytes, name: str = "photos.csv") -> str:
    (place / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return f"csv:{place / name}"


def table(rows=None, header: str = "path,label", separator: str = ",", end: str = "\n") -> str:
    rows = [(path, path.split("/")[0]) for path in PATHS] if rows is None else rows
    return end.join([header, *(separator.join(map(str, row)) for row in rows)]) + end


def parts_of(splits) -> dict[str, list[tuple[str, str]]]:
    return {
        part: [
            (Path(name).name, splits.class_names[label])
            for name, label in zip(splits[part].names, splits[part].labels, strict=True)
        ]
        for part in ("train", "validation", "test")
    }
