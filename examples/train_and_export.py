"""Train, evaluate, export and prove in Python what `keras-inception quickstart` does on the command line.

Run it with `python examples/train_and_export.py runs/example`; a second argument changes the number of epochs.
"""

import dataclasses
import sys
from pathlib import Path

from keras_inception import tflite, training


def main(folder: Path, epochs: int = 10) -> None:
    config = dataclasses.replace(training.load_recipe("digits"), epochs=epochs)
    run = training.train(config, folder)
    print(f"test accuracy {training.evaluate(run).accuracy:.2%}")

    model = run.model()
    calibration = run.batches("train", count=256)
    exported = tflite.export(model, folder / "export", class_names=run.class_names, calibration=calibration)
    proof = tflite.verify(model, exported.folder, run.batches("test"), limits=tflite.Limits(agreement=0.9))
    for row in proof.rows:
        print(f"{row.file or 'Keras':<22} agreement {row.agreement:.2%}, latency {row.latency_ms:.2f} ms")
    print("proven" if proof.passed else "\n".join(proof.failures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
