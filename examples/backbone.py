"""Use a network as a detection backbone: its last block of every stride, by name.

Run it with `python examples/backbone.py`; it needs a Keras backend and nothing else.
"""

import numpy as np

import keras_inception as ki

SIZE = 128


def main() -> None:
    network = ki.create_model("inception_v1", include_top=False, input_shape=(SIZE, SIZE, 3))
    pyramid = ki.feature_pyramid(network)
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    features = pyramid.predict(ki.preprocess_input(images, "inception_v1"), verbose=0)
    for level, values in features.items():
        print(f"{level}: stride {SIZE // values.shape[1]}, shape {values.shape}")


if __name__ == "__main__":
    main()
