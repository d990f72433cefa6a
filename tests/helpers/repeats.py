"""How often a proof repeats what is random: `nox -s proofs` asks for more than the slow tests do."""

import os

REPEATS = int(os.environ.get("KERAS_INCEPTION_REPEATS", "1"))
DRAWS = 50 * max(2, REPEATS)  # fewer would not meet every network
