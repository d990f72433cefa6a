"""Exported files, opened as an app opens them: by signature name, pixels in, probabilities or an embedding out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_inception.processors import cores

from ..errors import ExportError, first_line, quiet
from ..files.flatbuffer import check_flatbuffer, mapped
from ..files.tracing import ANSWERS, INPUT, SIGNATURE, UNFAMILIAR, output_named
from ..pictures.pixels import check_values
from ..pictures.pixels import pixels as as_pixels


class LiteRTModel:
    """A .tflite file in LiteRT's interpreter, called like a function.

    Args:
        path: The file.
        threads: Threads of the interpreter; None: as many as there are cores.
        signature: Which of the file's functions, from `images` to `predictions` or `embedding`.
        checked: The file has been held against its hash already.
        content: Bytes of a file that is not on disk, from this process; nothing checks them.

    Attributes:
        input_shape: (batch, height, width, channels); the batch is None where the file accepts any.
        output: What the answer is called.
        classes: Length of the answer for one image.
        widths: By name what the file answers, and how many numbers an image.

    Raises:
        FileNotFoundError: There is no such file.
        ExportError: The file is not a whole TFLite model with the signature that `export` writes, or not as it was
            sealed.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        threads: int | None = None,
        signature: str = SIGNATURE,
        checked: bool = False,
        content: bytes | None = None,
    ) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.path = Path(path)
        self.threads = threads or cores()
        if content is None and not checked:
            with self.path.open("rb") as file:  # FileNotFoundError names the file
                check_flatbuffer(self.path, mapped(file))
        # By its path the file is mapped: weights that kernels read as they are need no memory of the process's own.
        source = {"model_path": str(self.path)} if content is None else {"model_content": content}
        try:
            with quiet():
                self._interpreter = Interpreter(**source, num_threads=self.threads)
                self._signatures = self._interpreter.get_signature_list()
                self._runner = self._interpreter.get_signature_runner(signature)
                # The signature runner reports its own shape with unknown sizes as 1; the interpreter knows better.
                details = self._interpreter.get_input_details()[0]
                answers = self._runner.get_output_details()
        except Exception as error:  # LiteRT raises whatever a damaged file leads to
            raise ExportError(
                f"A .tflite file must be one that LiteRT can run, with the signature {signature!r}. "
                f"Received: {self.path} ({first_line(error)})."
            ) from error
        names = self._signatures[signature]
        output = output_named(names["outputs"])
        if INPUT not in names["inputs"] or output is None:
            raise ExportError(
                f"The signature must map {INPUT!r} to {ANSWERS}. Received: {self.path} with {names['inputs']} to "
                f"{names['outputs']}."
            )
        shapes = tuple(details["shape_signature"]), tuple(answers[output]["shape"])
        if [len(shape) for shape in shapes] != [4, 2]:
            raise ExportError(
                f"The signature must map [n, height, width, channels] to [n, classes]. Received: {self.path} with "
                f"{shapes[0]} to {shapes[1]}."
            )
        self.output, self._dtype = output, details["dtype"]
        self.input_shape: tuple[int | None, ...] = tuple(None if size == -1 else int(size) for size in shapes[0])
        self.classes = int(shapes[1][1])
        self.widths = {output: self.classes} | ({UNFAMILIAR: 1} if UNFAMILIAR in names["outputs"] else {})

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The predictions of a batch of images, float32 [n, classes]; see `answers`."""
        return self.answers(images)[self.output]

    def answers(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """All that the file answers to a batch of images.

        Args:
            images: [n, height, width, channels] of the size that the file takes, values in 0..255.

        Returns:
            `predictions`, float32 [n, classes], and `unfamiliar`, float32 [n, 1], where the file has it. A file with a
            static batch is run as often as that takes, the last time with some of the images repeated.

        Raises:
            ExportError: The images have another size, or values that are not pixels.
        """
        array = np.asarray(images)
        check_values(array, alone=True)
        pixels = np.ascontiguousarray(as_pixels(array, self.input_shape[1:]), self._dtype)
        if not len(pixels):
            return {name: np.zeros((0, width), np.float32) for name, width in self.widths.items()}
        step = self.input_shape[0] or len(pixels)
        parts = []
        for start in range(0, len(pixels), step):
            batch = pixels[start : start + step]
            whole = batch if len(batch) == step else np.resize(batch, (step, *batch.shape[1:]))
            parts.append({name: answer[: len(batch)] for name, answer in self._run(whole).items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in self.widths}

    def _run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        try:
            found = self._runner(**{INPUT: batch})
        except (ValueError, RuntimeError) as error:
            raise ExportError(
                f"A .tflite file must be one that LiteRT can run. Received: {self.path} ({first_line(error)})."
            ) from error
        for name, width in self.widths.items():
            if found[name].shape != (len(batch), width):
                raise ExportError(
                    f"A .tflite file must answer {width} numbers an image. Received: {self.path}, which answers "
                    f"{found[name].shape} to {len(batch)} images."
                )
        return {name: found[name] for name in self.widths}


def opened(content: bytes) -> LiteRTModel:
    """A .tflite file's bytes as a function of pixels."""
    return LiteRTModel("candidate.tflite", content=content)
