"""The direction between the rooms, read from their imports, and what importing the package loads."""

import ast
import importlib
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import keras_inception

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "keras_inception": ROOT / "keras_inception",
    "keras_inception.training": ROOT / "training",
    "keras_inception.tflite": ROOT / "tflite",
}
FILES = [(room, path) for room, folder in ROOMS.items() for path in sorted(folder.rglob("*.py"))]
STANDARD_LIBRARY = set(sys.stdlib_module_names)
SHOWING = "keras_inception.showing"  # tables and progress; every room shows something
PROCESSORS = "keras_inception.processors"  # how many there are; every room works on several things at a time
# What reads and fetches foreign weight files; imported inside functions, by those who have such files.
FILE_FORMATS = {"PIL", "google", "h5py", "rich", "safetensors", "tensorflow", "torch"}


def module_name(room: str, path: Path) -> str:
    parts = path.relative_to(ROOMS[room]).with_suffix("").parts
    return ".".join([room, *(part for part in parts if part != "__init__")])


def imports(path: Path, module: str, *, inside_functions: bool = True) -> set[str]:
    """Full names of all that a file imports, as in `from a.b import c`: a.b.c."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if inside_functions else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def strangers(names: set[str]) -> set[str]:
    """Top-level packages from outside the project and the standard library."""
    return {name.partition(".")[0] for name in names} - STANDARD_LIBRARY - {"keras_inception"}


@pytest.mark.parametrize(("room", "path"), FILES, ids=[str(path.relative_to(ROOT)) for _, path in FILES])
def test_a_file_imports_only_what_its_room_may(room: str, path: Path):
    module = module_name(room, path)
    names = imports(path, module)
    own = {name for name in names if within(name, "keras_inception")}
    if not within(module, "keras_inception.cli", "keras_inception.handles", "keras_inception.hub"):
        assert not [name for name in own if within(name, "keras_inception.hub")]
    if not within(module, "keras_inception.cli", "keras_inception.apps"):
        assert not [name for name in own if within(name, "keras_inception.apps")]
    if within(module, "keras_inception.apps"):  # a kit is made of an export alone
        assert all(within(name, "keras_inception.apps", "keras_inception.tflite") for name in own)
    if within(module, "keras_inception.hub"):
        assert not [name for name in own if within(name, "keras_inception.cli", "keras_inception.handles")]
    if within(module, *(f"keras_inception.{room}" for room in ("apps", "cli", "handles", "hub", "photos"))):
        return  # they tie the rooms together; another test holds the command to lazy imports
    if room == "keras_inception":
        lazy = FILE_FORMATS if within(module, "keras_inception.weights") else set()
        lazy |= {"IPython", "rich"} if module == SHOWING else set()
        assert strangers(names) - lazy <= {"keras", "numpy"}
        assert strangers(imports(path, module, inside_functions=False)) <= {"keras", "numpy"}
        assert not [name for name in own if within(name, "keras_inception.training", "keras_inception.tflite")]
        later = ("keras_inception.cli", "keras_inception.handles", "keras_inception.photos")
        assert not [name for name in own if within(name, *later) and module != "keras_inception"]  # the door
    else:
        names_of_networks = {*keras_inception.__all__, "weights"} - {"open_model"}
        public = {f"keras_inception.{name}" for name in names_of_networks} | {"keras_inception"}
        # A search weighs what a network costs on a phone; a quantised run trains what a file computes.
        if module in ("keras_inception.training.tuning.costs", "keras_inception.training.engine.quantization"):
            public |= {"keras_inception.tflite"}
        assert {
            name for name in own if not within(name, room, "keras_inception.integers", SHOWING, PROCESSORS)
        } <= public
    if within(module, "keras_inception.models"):
        assert not [name for name in own if within(name, "keras_inception.weights")]


# A room's own rooms and files, in the one order in which they import from each other.
ORDERS = {room: importlib.import_module(room)._ROOMS for room in ("keras_inception.training", "keras_inception.tflite")}


@pytest.mark.parametrize("room", ORDERS)
def test_inside_a_room_imports_point_one_way(room: str):
    graph = imports_inside(room)
    parts = {module: module.removeprefix(f"{room}.").partition(".")[0] for module in graph}
    assert set(parts.values()) == set(ORDERS[room])
    for module, read in graph.items():
        later = ORDERS[room][ORDERS[room].index(parts[module]) + 1 :]
        assert not [name for name in read if parts[name] in later], module


@pytest.mark.parametrize("room", ROOMS)
def test_inside_a_room_no_imports_go_round(room: str):
    TopologicalSorter(imports_inside(room)).prepare()  # raises CycleError


def imports_inside(room: str) -> dict[str, set[str]]:
    """Which of its other files each file of a room imports, inside functions too; the room's own door left out."""
    modules = {module_name(room, path): path for path in sorted(ROOMS[room].rglob("*.py"))}
    del modules[room]
    graph = {}
    for module, path in modules.items():
        owners = {name if name in modules else name.rpartition(".")[0] for name in imports(path, module)}
        graph[module] = {owner for owner in owners if owner in modules and owner != module}
    return graph


def loaded_after(code: str, **variables: str) -> set[str]:
    """Top-level packages that a fresh Python has loaded after running `code`."""
    script = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")} | variables
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True, cwd=ROOT.parent
    )
    return set(result.stdout.splitlines()[-1].split())


HEAVY = {"keras", "tensorflow", "jax", "torch", "matplotlib", "sklearn", "tensorflow_datasets", "ai_edge_litert"}


@pytest.mark.parametrize(
    "code",
    [
        "import keras_inception; assert keras_inception.list_models()",
        "import keras_inception.training as t; assert t.load_recipe('digits').recipe",
        "import keras_inception.tflite",
    ],
    ids=["networks", "training", "tflite"],
)
def test_importing_a_room_loads_no_framework(code: str):
    assert not loaded_after(code) & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["export", "--help"], ["models"]])
def test_the_command_answers_without_a_framework(arguments: list[str]):
    code = f"""
from keras_inception.cli import main
try:
    main({arguments!r})
except SystemExit as leaving:
    assert not leaving.code
"""
    assert not loaded_after(code) & HEAVY


@pytest.mark.parametrize(
    ("imports", "backend"),
    [
        ("import keras\nimport keras_inception", "numpy"),  # which is there sooner than TensorFlow
        ("import keras_inception\nimport keras", "numpy"),
        (
            "import keras_inception\nimport tensorflow as tf\nimport importlib.util\n"
            "importlib.util.find_spec('keras')\ntf.keras.layers",
            "tensorflow",
        ),
    ],
    ids=["keras first", "keras second", "by tensorflow"],
)
def test_layers_of_ours_load_in_whichever_order_things_are_imported(imports: str, backend: str):
    code = f"""
{imports}
import keras
for name in ("LocalResponseNormalization", "ChannelShuffle"):
    assert keras.saving.get_registered_object(f"keras_inception>{{name}}") is not None
"""
    assert "keras" in loaded_after(code, KERAS_BACKEND=backend)


def test_a_room_is_an_attribute_of_the_package():
    code = (
        "import keras_inception as ki; assert ki.weights.list_weights() and ki.numerics.TORCH and 'weights' in dir(ki)"
    )
    assert not loaded_after(code) & HEAVY
