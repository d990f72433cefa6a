"""Everything that the project does with itself, one session each: `nox -l` lists them, `nox -s NAME` runs one.

An environment is made once and used again; `nox --reuse-venv=never -s NAME` makes a new one.
"""

import configparser
import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv|virtualenv"  # where uv is, an environment takes seconds instead of minutes
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests", "wheel", "docs"]

ROOT = Path(__file__).parent
# A file's tests stay together: networks and runs are made once. Files come in their own order: by default those of many
# tests come first, and the few that train for long last, when only one process is left with work.
A_PROCESS_A_CORE = ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "10"]
ONE_THREAD_A_PROCESS = {"TF_NUM_INTRAOP_THREADS": "1"}


@nox.session
def quickstart(session: nox.Session) -> None:
    """Train GoogLeNet on real digits, evaluate it, export it, and prove the exports equal."""
    session.install("-e", ".[train,tflite]")
    session.run("keras-inception", "quickstart", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite; what follows `--` goes to pytest, such as `--cov`."""
    session.install("-e", ".[train,tflite,tune,hf,hub,convert,onnx,openvino,quantizer,mlflow,wandb,jax,test]")
    session.run("pytest", *(session.posargs or A_PROCESS_A_CORE), env=ONE_THREAD_A_PROCESS)


@nox.session(venv_backend="none")
def slow(session: nox.Session) -> None:
    """Run the tests that are marked slow, in the environment of the others."""
    session.notify("tests", [*A_PROCESS_A_CORE, "-m", "slow and not gpu and not torch", *session.posargs])


@nox.session(venv_backend="none")
def proofs(session: nox.Session) -> None:
    """Run what docs/proofs.md names, at length: twenty kills, a thousand draws, every network."""
    os.environ["KERAS_INCEPTION_REPEATS"] = "20"
    session.notify("tests", ["-m", "proof", "-s", *session.posargs])


@nox.session(venv_backend="virtualenv")  # pip knows where a machine keeps builds of PyTorch without CUDA, uv does not
def torch(session: nox.Session) -> None:
    """Run the tests that need PyTorch, where TensorFlow is not installed."""
    session.install("-e", ".[jax,torch,convert,test]")
    session.run(
        "pytest",
        "-m",
        "torch and not proof",
        *(session.posargs or ["tests/networks/test_backends.py", "tests/weights/test_torch.py"]),
        env={"KERAS_BACKEND": "torch"},  # Keras's own default, TensorFlow, is not there
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Check format and style; `nox -s lint -- --fix` mends what can be mended."""
    session.install(*extra("lint"))
    fix = "--fix" in session.posargs
    session.run("ruff", "format", *([] if fix else ["--diff"]))
    session.run("ruff", "check", *(["--fix"] if fix else []))


@nox.session
def types(session: nox.Session) -> None:
    """Check the annotations of all that is installed."""
    session.install("-e", ".[cli,types]")
    session.run("mypy", "--package", "keras_inception")


@nox.session
def notebooks(session: nox.Session) -> None:
    """Run the notebooks of examples/ whole, on 250 real photographs; they and what they made are in build/notebooks."""
    data = Path(os.environ.get("KERAS_INCEPTION_TEST_DATA", ROOT.parent / "shared"))
    photographs, weights = data / "data" / "flowers17", data / "weights" / "mobilenet_v2_1.0_224.h5"
    if not (photographs.is_dir() and weights.is_file()):
        session.skip(f"no photographs or weights at {data}: name the folder in KERAS_INCEPTION_TEST_DATA")
    session.install("-e", ".[train,tflite,tune,convert,notebooks]")
    place = fresh_build_folder(session)
    for split, count in {"train": 40, "validation": 10}.items():
        for name in ("bluebell", "daisy", "pansy", "sunflower", "tigerlily"):
            (place / "flowers" / split / name).mkdir(parents=True)
            for file in sorted((photographs / split / name).iterdir())[:count]:
                (place / "flowers" / split / name / file.name).symlink_to(file)
    (place / weights.name).symlink_to(weights)
    for file in (ROOT / "examples").iterdir():
        shutil.copy(file, place)
    session.run("jupyter", "execute", "--inplace", "--timeout=900", *map(str, sorted(place.glob("*.ipynb"))))


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, look inside, and use it where nothing but the core dependencies is installed."""
    folder = fresh_build_folder(session)
    session.install("build")
    session.run("python", "-m", "build", "--wheel", "--outdir", str(folder), ".", silent=True)
    (built,) = folder.glob("*.whl")
    session.install("--force-reinstall", "--no-deps", str(built))
    session.install(str(built), *extra("jax"), *extra("test"))
    session.run("pytest", "tests/test_wheel.py", *session.posargs, env={"KERAS_INCEPTION_WHEEL": str(built)})


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site, every warning an error; `nox -s docs -- serve` shows it while you write."""
    session.install("-e", ".[docs]")  # the pages of networks are made from the networks
    quiet = {"NO_MKDOCS_2_WARNING": "1"}  # the theme advertises its successor
    session.run("mkdocs", *(session.posargs or ["build", "--strict"]), env=quiet)


@nox.session
def pictures(session: nox.Session) -> None:
    """Draw every picture of the documentation anew, and its tables; the terminal's where there are photographs."""
    session.install("-e", ".[train,tflite,convert,docs]", "pyte>=0.8,<1")
    data = Path(os.environ.get("KERAS_INCEPTION_TEST_DATA", ROOT.parent / "shared"))
    photographs, weights = data / "data" / "flowers17", data / "weights" / "mobilenet_v2_1.0_224.h5"
    if photographs.is_dir() and weights.is_file():
        place = fresh_build_folder(session)
        place.mkdir(parents=True)
        (place / "flowers").symlink_to(photographs / "train")
        (place / weights.name).symlink_to(weights)
        (place / "daisy.jpg").symlink_to(sorted((photographs / "validation" / "daisy").iterdir())[0])
        (place / "iris.jpg").symlink_to(sorted((photographs / "validation" / "iris").iterdir())[0])
        session.run("python", "docs/terminal.py", str(place))
    else:
        session.warn(f"no photographs or weights at {data}: the terminal's picture stays as it is")
    for script in ("overview", "pictures", "claims", "tables"):
        session.run("python", f"docs/{script}.py", env={"KERAS_BACKEND": "numpy"})


def fresh_build_folder(session: nox.Session) -> Path:
    """Empty build/SESSION, and build/lib with it: setuptools would pack what an earlier build left there."""
    folder = ROOT / "build" / session.name
    for old in (folder, ROOT / "build" / "lib"):
        shutil.rmtree(old, ignore_errors=True)
    return folder


def extra(name: str) -> list[str]:
    """The requirements of an extra in setup.cfg, for sessions that do not need the package itself."""
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    return metadata["options.extras_require"][name].split()
