"""What a configuration names that lies in files: paths that hold in any working directory."""

from pathlib import Path

from .rules import joined_sources


def full_path(place: str) -> str:
    """A path that holds in any working directory; none where none is given."""
    return str(Path(place).expanduser().resolve()) if place else ""


def full_source(specification: str) -> str:
    """A data specification whose paths hold in any working directory."""
    return ",".join(map(_full_one, joined_sources(specification)))


def _full_one(source: str) -> str:
    kind, _, place = source.partition(":")
    name = {"tfds": prepared_tfds, "hf": saved_hf}.get(kind)
    if not place or (name is not None and name(place) is None):
        return source
    path = Path(place).expanduser()
    # A table's images lie beside it, wherever a link of that name leads.
    return f"{kind}:{path.parent.resolve() / path.name if kind == 'csv' else path.resolve()}"


def prepared_tfds(place: str) -> Path | None:
    """The folder where a TFDS data set lies prepared; None for a name, though any other folder may be called so."""
    folder = Path(place).expanduser()
    return folder if (folder / "dataset_info.json").is_file() else None


def saved_hf(place: str) -> Path | None:
    """The folder where a data set of Hugging Face lies; None for a name, though any other folder may be called so."""
    folder = Path(place).expanduser()
    is_saved = any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))
    return folder if is_saved or place.startswith(("/", "~", "./", "../")) or folder.is_absolute() else None
