"""The `keras-inception` command: its entry point, and what a failure looks like from outside.

This module imports the standard library only. The commands need tyro and rich, which the extra `cli` brings, and most
of them TensorFlow, which `train` and `tflite` bring; what is missing is said in one sentence.
"""

import faulthandler
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

DEBUG = "KERAS_INCEPTION_DEBUG"

_EXTRAS = {
    "ai_edge_litert": "tflite",
    "filelock": "tune",
    "google": "convert",
    "grpc": "tune",
    "huggingface_hub": "hub",
    "jinja2": "train",
    "keras_tuner": "tune",
    "matplotlib": "train",
    "PIL": "train",
    "psutil": "tune",
    "rich": "cli",
    "safetensors": "convert",
    "sklearn": "train",
    "tensorboard": "train",
    "tensorflow": "train,tflite",
    "tensorflow_datasets": "train",
    "tyro": "cli",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows the command's name; by default the process's own.

    Returns:
        The exit code: 0 for success, 1 for a failure, which one sentence on stderr explains. A usage error leaves
        through `SystemExit` with code 2, as `--help` does with 0.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if os.environ.get(DEBUG):
        return _run(arguments)
    with _quiet_libraries(), _warnings_in_a_line():
        try:
            return _run(arguments)
        except KeyboardInterrupt:
            return _fail("Interrupted.", code=130)
        except BrokenPipeError:  # whoever read the output has enough, as `head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except Exception as error:  # whatever a user mistypes or brings ends in a sentence
            return _fail(_sentence(error))


def _run(arguments: list[str]) -> int:
    from keras_inception.cli.commands import command_line

    return command_line(arguments)


def _fail(sentence: str, code: int = 1) -> int:
    print(f"keras-inception: {sentence}", file=sys.stderr)
    return code


def _sentence(error: Exception) -> str:
    """Say an error in one line: an operating system's error as its file and reason, any other as its own text."""
    if isinstance(error, ModuleNotFoundError):
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is not None:
            return f"This needs {error.name}: pip install 'keras-inception[{extra}]'."
    if isinstance(error, MemoryError):
        return "The memory is not enough: try a smaller batch or image size."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, OSError) or _is_ours(error) else f"{text} ({DEBUG}=1 shows where.)"


def _is_ours(error: Exception) -> bool:
    """Whether the package raised an error itself, and so found the words for it."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and str(frame.tb_frame.f_globals.get("__name__")).startswith("keras_inception")


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Say a warning without the place in the code that gave it."""
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = usual


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep TensorFlow's log lines off the terminal.

    TensorFlow writes some of them before it reads any setting, straight to file descriptor 2. So that descriptor
    leads nowhere meanwhile, and Python's own stderr, tracebacks of crashes included, goes on to where it went.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    stderr = sys.stderr
    try:
        to_descriptor = stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):  # replaced by an object without a descriptor
        to_descriptor = False
    if not to_descriptor:
        yield
        return
    stderr.flush()
    terminal = os.dup(2)
    with os.fdopen(terminal, "w", buffering=1, encoding=stderr.encoding, errors="backslashreplace") as python_stderr:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = python_stderr
        faulthandler.enable(python_stderr)
        try:
            yield
        finally:
            faulthandler.disable()
            os.dup2(terminal, 2)
            sys.stderr = stderr
