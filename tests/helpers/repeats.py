"""How often a proof repeats: a few times with the slow tests, as often as `nox -s proofs` asks for."""

import os

REPEATS = int(os.environ.get("KERAS_INCEPTION_REPEATS", "2"))
DRAWS = 50 * REPEATS
