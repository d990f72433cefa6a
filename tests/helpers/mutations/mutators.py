"""Ways to damage a file: each takes its path and a generator, and changes it in place.

Those in `FORGERIES` write the container's checksums anew: what they change is another content, not a damage that a
checksum could tell.
"""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Mutator = Callable[[Path, np.random.Generator], None]
_TOKENS = [None, True, -1, 0, 2**70, 1e308, "", "x" * 300, "../..", "\0", [], {}, [[]], {"a": {}}, "NaN", float("nan")]
_DEEP = 200_000  # levels of nesting, more than any parser's stack takes


def any_bytes(path: Path, rng: np.random.Generator) -> None:
    """Flips bits, overwrites, cuts off, repeats, or writes another number where a length may stand."""
    content = bytearray(path.read_bytes())
    for _ in range(int(rng.choice([1, 1, 1, 2, 5]))):
        content = bytearray(_BYTE_CHANGES[int(rng.integers(len(_BYTE_CHANGES)))](content, rng))
    path.write_bytes(content)


def _at(content: bytearray, rng: np.random.Generator) -> int:
    """A place in the file; every other time near its beginning or its end, where containers keep their tables."""
    size = max(len(content), 1)
    near = int(rng.integers(min(size, 128)))
    return [int(rng.integers(size)), near, size - 1 - near, int(rng.integers(size))][int(rng.integers(4))]


def _flip(content: bytearray, rng: np.random.Generator) -> bytearray:
    if content:
        content[_at(content, rng)] ^= 1 << int(rng.integers(8))
    return content


def _overwrite(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, count = _at(content, rng), int(rng.choice([1, 2, 4, 16, 200]))
    filling = [bytes(count), b"\xff" * count, rng.bytes(count)][int(rng.integers(3))]
    content[start : start + count] = filling[: len(content) - start]
    return content


def _length(content: bytearray, rng: np.random.Generator) -> bytearray:
    size, order = int(rng.choice([1, 2, 4, 8])), ["little", "big"][int(rng.integers(2))]
    start = _at(content, rng) // size * size if rng.integers(2) else _at(content, rng)
    now = int.from_bytes(content[start : start + size], order)
    numbers = [0, 1, now + 1, now - 1, now * 2, 2 ** (8 * size - 1) - 1, 2 ** (8 * size) - 1, len(content), 2**31]
    number = numbers[int(rng.integers(len(numbers)))] % 2 ** (8 * size)
    content[start : start + size] = number.to_bytes(size, order)[: len(content) - start]
    return content


def _cut(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content[: _at(content, rng)]


def _remove(content: bytearray, rng: np.random.Generator) -> bytearray:
    start = _at(content, rng)
    del content[start : start + int(rng.choice([1, 4, 100]))]
    return content


def _repeat(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, target, count = _at(content, rng), _at(content, rng), int(rng.choice([1, 8, 500]))
    content[target:target] = content[start : start + count]
    return content


_BYTE_CHANGES = (_flip, _flip, _overwrite, _overwrite, _length, _length, _cut, _remove, _repeat)


def json_values(path: Path, rng: np.random.Generator) -> None:
    """Puts another value, or far too deep a one, somewhere into a JSON file, or removes or renames a key."""
    value = json.loads(path.read_text("utf-8"))
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(value)
    node, key = places[int(rng.integers(len(places)))]
    kind = int(rng.integers(8))
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[f"{key}x"] = node.pop(key)
    elif kind == 2:
        node[key] = "DEEP"
    else:
        node[key] = _TOKENS[int(rng.integers(len(_TOKENS)))]
    path.write_text(json.dumps(value).replace('"DEEP"', "[" * _DEEP + "]" * _DEEP), "utf-8")


def csv_cells(path: Path, rng: np.random.Generator) -> None:
    """Puts something else into a cell of a CSV file, or adds or removes one."""
    rows = [line.split(",") for line in path.read_text("utf-8").splitlines()]
    row = rows[int(rng.integers(len(rows)))]
    kind, cell = int(rng.integers(3)), int(rng.integers(len(row)))
    if kind == 0:
        row.append("1")
    elif kind == 1:
        del row[cell]
    else:
        row[cell] = str(rng.choice(["", "x", "nan", "1e400", '"', "-1", "٣", "9" * 5000]))
    path.write_text("\n".join(map(",".join, rows)) + "\n", "utf-8")


def gzip_content(path: Path, rng: np.random.Generator) -> None:
    """Damages what is compressed, and compresses it again."""
    path.write_bytes(gzip.decompress(path.read_bytes()))
    any_bytes(path, rng)
    path.write_bytes(gzip.compress(path.read_bytes(), 1))


def zip_members(path: Path, rng: np.random.Generator) -> None:
    """Damages one member of a zip archive, writes it under a strange name, twice or not at all."""
    with zipfile.ZipFile(path) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    infos = list(members)
    chosen, kind = infos[int(rng.integers(len(infos)))], int(rng.integers(8))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for info, content in members.items():
            name = info.filename
            if info is chosen and kind == 0:
                continue
            if info is chosen and kind == 1:
                name = str(rng.choice(["../up", "/root", "a\\b", "", "C:x", "x" * 500, "." * 300]))
            elif info is chosen:
                content = _changed(path, name, content, rng)
            archive.writestr(zipfile.ZipInfo(name), content, info.compress_type)
    path.write_bytes(written.getvalue())


def _changed(path: Path, name: str, content: bytes, rng: np.random.Generator) -> bytes:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    try:
        kinds = {".json": (json_values, any_bytes), ".h5": (hdf5_items, any_bytes)}
        choices = kinds.get(Path(name).suffix, (any_bytes,))
        choices[int(rng.integers(len(choices)))](part, rng)
        return part.read_bytes()
    finally:
        part.unlink()


def hdf5_items(path: Path, rng: np.random.Generator) -> None:
    """Puts links, nested groups, other types, other attributes or nothing in the place of an HDF5 file's items."""
    import h5py

    with h5py.File(path, "a") as file:
        items: list[str] = []
        file.visit(items.append)
        name = items[int(rng.integers(len(items)))]
        kind = int(rng.integers(9))
        if kind >= 7:
            values = [1, "x", b"\xff\xfe", np.zeros(3), np.array([b"a", b"\xff"]), h5py.Empty("f"), "x" * 60_000]
            place = file if kind == 7 else file[name]
            keys = list(place.attrs) or ["name"]
            place.attrs[keys[int(rng.integers(len(keys)))]] = values[int(rng.integers(len(values)))]
            return
        value = file[name][()] if isinstance(file[name], h5py.Dataset) else np.zeros(3, "float32")
        hard = file[items[int(rng.integers(len(items)))]]
        del file[name]
        if kind == 0:
            file[name] = h5py.SoftLink(str(rng.choice(["/", f"/{name}", "/nothing", f"/{items[0]}"])))
        elif kind == 1:
            file[name] = h5py.ExternalLink(str(rng.choice([str(path), "/dev/zero", "nothing.h5"])), "/")
        elif kind == 2:
            file[name] = hard  # a second name of another item, or a circle of groups
        elif kind == 3:
            group = file.create_group(name)
            for _ in range(int(rng.choice([3, 300, 1500]))):
                group = group.create_group("g")
        elif kind == 4:
            types = ["S3", "int8", "float16", "float64", "complex64", "bool", h5py.string_dtype(), "V5"]
            file.create_dataset(name, value.shape, types[int(rng.integers(len(types)))])
        elif kind == 5:
            options = [{"compression": "gzip"}, {"compression": "lzf"}, {"fletcher32": True}, {"scaleoffset": 3}]
            shape = (2**20, 2**9) if rng.integers(2) else np.shape(value) or (1,)
            dataset = file.create_dataset(name, shape, "float32", chunks=True, **options[int(rng.integers(4))])
            dataset[(0,) * len(shape)] = 1


FORGERIES = {json_values, csv_cells, gzip_content, zip_members, hdf5_items}
