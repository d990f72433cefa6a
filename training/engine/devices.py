"""Training on several devices: the GPUs of one host by themselves, several hosts or processes as TF_CONFIG says.

Every device computes a slice of the batch; gradients and the statistics of batch norms are summed over all of them, so
that training is that of one device with the whole batch.

Keras 3.15 cannot `fit` under MultiWorkerMirroredStrategy (keras-team/keras#20585): it gives nested batches to `reduce`
and reduces scalars along an axis. `MultiWorkerTrainer` does both as they should be.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.eager import context as tf_context
from tensorflow.python.framework import config as tf_config

from ..config import TrainConfig
from .trainer import Trainer


@dataclass(frozen=True)
class Devices:
    """The devices that a run trains on."""

    strategy: tf.distribute.Strategy | None = None
    """How they work together; None for a single one."""
    worker: int = 0
    """Which of the processes this is; 0 writes the run folder."""
    workers: int = 1
    """How many processes there are."""

    @property
    def replicas(self) -> int:
        """How many devices compute a step together."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    def scope(self) -> Any:
        """Where the variables of a network, its optimizer and its metrics are made."""
        return self.strategy.scope() if self.strategy else nullcontext()

    def check(self, batch_size: int) -> None:
        """Raises `ValueError` where a batch cannot be cut into equal slices."""
        if batch_size % self.replicas:
            raise ValueError(
                f"pipeline.batch_size must divide evenly among {self.replicas} devices. Received: {batch_size}"
            )

    def slices(self, batches: Callable[[tuple[int, int]], tf.data.Dataset], batch_size: int) -> Any:
        """Gives every device its slice of each batch; `batches` makes those of a shard (i, n)."""
        if self.strategy is None:
            return batches((0, 1))

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            dataset = batches((context.input_pipeline_id, context.num_input_pipelines))
            return dataset.rebatch(context.get_per_replica_batch_size(batch_size), drop_remainder=True)

        return self.strategy.distribute_datasets_from_function(of_worker)

    def copies(self, batches: tf.data.Dataset) -> Any:
        """Gives every device all batches, again and again: uneven last batches would need weights in every metric."""
        if self.strategy is None:
            return batches
        local = self.replicas // self.workers
        repeated = batches.flat_map(lambda *batch: tf.data.Dataset.from_tensors(batch).repeat(local)).repeat()
        return self.strategy.distribute_datasets_from_function(lambda _: repeated)


def find_devices() -> Devices:
    """Finds the devices to train on; to be called before anything else uses TensorFlow.

    Raises:
        ValueError: where TF_CONFIG cannot be read.
    """
    if keras.backend.backend() != "tensorflow":
        return Devices()
    text = os.environ.get("TF_CONFIG", "{}")
    try:
        cluster = json.loads(text)
        workers = cluster.get("cluster", {}).get("worker", [])
        worker = int(cluster["task"]["index"]) if len(workers) > 1 else 0
        kinds = {*cluster.get("cluster", {}), *({cluster["task"]["type"]} if workers else ())}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            'TF_CONFIG must look like {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", '
            f'"index": 0}}}}. Received: {text!r}'
        ) from error
    if kinds - {"worker"}:
        raise ValueError(f"TF_CONFIG must name workers alone; worker 0 is the chief. Received: {sorted(kinds)}")
    if len(workers) > 1:
        return Devices(tf.distribute.MultiWorkerMirroredStrategy(), worker, len(workers))
    gpus = tf.config.list_logical_devices("GPU") if len(tf.config.list_physical_devices("GPU")) > 1 else []
    return Devices(tf.distribute.MirroredStrategy([gpu.name for gpu in gpus])) if len(gpus) > 1 else Devices()


@contextmanager
def deterministic_kernels(config: TrainConfig) -> Iterator[None]:
    """Computes with deterministic kernels where the configuration asks for them, then leaves the process as it was.

    Left on, they would make each later random operation without a seed an error. TensorFlow has no public way to ask
    for this state, nor to end it.
    """
    without_gpu = not tf.config.list_physical_devices("GPU")
    wanted = config.deterministic == "yes" or (config.deterministic == "auto" and without_gpu)
    if not wanted:
        yield
        return
    with _sums_in_their_order():
        if tf_config.is_op_determinism_enabled():
            yield
            return
        tf_config.enable_op_determinism()
        try:
            yield
        finally:
            tf_config.disable_op_determinism()


@contextmanager
def _sums_in_their_order() -> Iterator[None]:
    """Keeps TensorFlow's optimizer of graphs from adding up gradients in the order in which they are ready.

    Where three and more meet, as at the tap of an auxiliary head, it may do so to save memory, in one process and not
    in the next; kernels that are deterministic change nothing about it.
    """
    runtime = tf_context.context()
    before, settings = runtime.function_call_options, runtime.config
    settings.graph_options.rewrite_options.memory_optimization = RewriterConfig.NO_MEM_OPT
    runtime.function_call_options = tf_context.FunctionCallOptions(before.executor_type, settings)
    try:
        yield
    finally:
        runtime.function_call_options = before


def prepare(trainer: Trainer) -> None:
    """Has batch norms and clipping see what all devices compute; for a model made and compiled in the scope."""
    for layer in _batch_norms(trainer):
        layer.synchronized = True
    _reduce_first(trainer.optimizer)


@contextmanager
def as_on_one_device(network: keras.Model) -> Iterator[None]:
    """The network's configuration is meanwhile that of a network on a single device, as it should be saved."""
    layers = [layer for layer in _batch_norms(network) if layer.synchronized]
    for layer in layers:
        layer.synchronized = False
    try:
        yield
    finally:
        for layer in layers:
            layer.synchronized = True


class MultiWorkerTrainer(Trainer):
    """A network in training under MultiWorkerMirroredStrategy."""

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        if iterator is not None:
            _, _, batches = next(iter(iterator))
            first = self.distribute_strategy.experimental_local_results
            data_batch = keras.tree.map_structure(lambda value: first(value)[0], next(batches))
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=data_batch)

    def _make_function(self, step_function: Callable[..., Any]) -> Callable[..., Any]:
        strategy = self.distribute_strategy

        @tf.function(reduce_retracing=True, jit_compile=self.jit_compile, autograph=False)
        def step(batch: Any) -> dict[str, Any]:
            logs = strategy.run(step_function, args=(batch,))
            return {name: strategy.reduce("MEAN", value, axis=None) for name, value in logs.items()}

        def steps(batches: Any) -> dict[str, Any]:
            for _ in range(self.steps_per_execution):
                logs = step(next(batches))
            return logs

        return steps


def _batch_norms(model: keras.Model) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _reduce_first(optimizer: Any) -> None:
    """Sums gradients over the devices before the optimizer does anything else.

    Keras sums them last: each device would clip its own by their own norm, and find overflows of its own, after which
    the devices' loss scales would drift apart.
    """
    apply = optimizer.apply

    def reduce_and_apply(gradients: Any, trainable_variables: Any = None) -> Any:
        context = tf.distribute.get_replica_context()
        return apply(list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))), trainable_variables)

    optimizer.apply = reduce_and_apply
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner._all_reduce_sum_gradients = lambda gradients_and_variables: gradients_and_variables
