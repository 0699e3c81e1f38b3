"""Trains in either framework with the same data, batches, schedule and seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models import weights
from models.mnist_cnn import data
from models.training import Augment, Epoch, OnEpoch, TrainingRecipe, batches, one_cycle

if TYPE_CHECKING:
    from models.dataset import Dataset

RECIPE = TrainingRecipe(epochs=14, batch=64, peak_rate=5e-3, seed=7, augment=Augment(shift=1))


def pytorch(recipe: TrainingRecipe, logs: Path, on_epoch: OnEpoch) -> dict[str, np.ndarray]:
    """Train in PyTorch; returns the weights. TensorBoard events go to ``logs``."""
    import torch

    # torch.utils.tensorboard would import TensorFlow, whose LLVM and that of PyTorch's CUDA build (Triton) crash
    # each other in one process.
    from tensorboardX import SummaryWriter

    from models.mnist_cnn import torch_net

    torch.manual_seed(recipe.seed)
    torch.use_deterministic_algorithms(True)
    # One thread, for the same result on every machine: a sum depends on how many threads share it.
    torch.set_num_threads(1)
    split = data.load()
    net = torch_net.build()
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.peak_rate, weight_decay=1e-3)
    rates = one_cycle(recipe, len(split.train))
    with SummaryWriter(str(logs)) as writer:
        for epoch in range(recipe.epochs):
            net.train()
            losses = []
            for step, (images, labels) in batches(split.train, "image", recipe, epoch):
                for group in optimizer.param_groups:
                    group["lr"] = rates[step]
                loss = torch.nn.functional.cross_entropy(net(torch.from_numpy(images)), torch.from_numpy(labels))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            net.eval()
            with torch.inference_mode():
                accuracy = _accuracy(net(torch.from_numpy(split.test.inputs["image"])).numpy(), split.test)
            writer.add_scalar("loss/train", np.mean(losses), epoch)
            writer.add_scalar("accuracy/test", accuracy, epoch)
            on_epoch(Epoch(epoch + 1, recipe.epochs, float(np.mean(losses)), accuracy))
    return weights.from_torch(net)


def tensorflow(recipe: TrainingRecipe, logs: Path, on_epoch: OnEpoch) -> dict[str, np.ndarray]:
    """Train the twin in TensorFlow; returns the weights under PyTorch's names. Events go to ``logs``."""
    import keras
    import tensorflow as tf

    from models.mnist_cnn import keras_net

    keras.utils.set_random_seed(recipe.seed)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    split = data.load()
    net = keras_net.build()
    optimizer = keras.optimizers.AdamW(recipe.peak_rate, weight_decay=1e-3)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rates = one_cycle(recipe, len(split.train))

    @tf.function(reduce_retracing=True)
    def train_step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, net({"image": images}, training=True)["logits"])
        optimizer.apply(tape.gradient(loss, net.trainable_variables), net.trainable_variables)
        return loss

    optimizer.build(net.trainable_variables)
    with tf.summary.create_file_writer(str(logs)).as_default():
        for epoch in range(recipe.epochs):
            losses = []
            for step, (images, labels) in batches(split.train, "image", recipe, epoch):
                optimizer.learning_rate.assign(rates[step])
                losses.append(float(train_step(tf.constant(images), tf.constant(labels))))
            accuracy = _accuracy(net.predict(split.test.inputs, verbose=0)["logits"], split.test)
            tf.summary.scalar("loss/train", np.mean(losses), epoch)
            tf.summary.scalar("accuracy/test", accuracy, epoch)
            on_epoch(Epoch(epoch + 1, recipe.epochs, float(np.mean(losses)), accuracy))
    return weights.from_keras(net)


def _accuracy(logits: np.ndarray, test: Dataset) -> float:
    return float((logits.argmax(1) == test.labels).mean())
