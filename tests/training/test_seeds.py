"""One seed is one result, in another process too."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.eager import context
from training_helpers import tiny_config

from keras_inception.training.engine.devices import deterministic_kernels

STEPS = """
import hashlib
import sys
import tempfile

import keras

from keras_inception.training import load_recipe, train


class Leave(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            weights = (variable.numpy().tobytes() for variable in self.model.variables)
            print("weights", hashlib.sha256(b"".join(weights)).hexdigest(), flush=True)
            sys.exit()


train(load_recipe("digits"), tempfile.mkdtemp() + "/run", callbacks=[Leave()])
"""


@pytest.mark.slow
def test_processes_of_one_seed_train_googlenet_to_the_same_bits():
    """Whose auxiliary heads give some gradients five parts to be summed."""
    found = []
    for _ in range(4):
        words = [sys.executable, "-c", STEPS]
        done = subprocess.run(words, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, capture_output=True, text=True)
        found += [line for line in done.stdout.splitlines() if line.startswith("weights")]
    assert len(found) == 4 and len(set(found)) == 1, found


def memory_optimization() -> int:
    """What functions that are called now are optimized with."""
    serialized = context.context().function_call_options.config_proto_serialized
    return tf.compat.v1.ConfigProto.FromString(serialized).graph_options.rewrite_options.memory_optimization


def test_sums_are_left_in_their_order_while_kernels_are_deterministic():
    before = memory_optimization()
    with deterministic_kernels(tiny_config(deterministic="yes")):
        assert memory_optimization() == RewriterConfig.NO_MEM_OPT
    assert memory_optimization() == before != RewriterConfig.NO_MEM_OPT
    with deterministic_kernels(tiny_config(deterministic="no")):
        assert memory_optimization() == before
