"""Trains a small net with Keras on TensorFlow, by a loop of its own, in one process."""

import keras
import tensorflow as tf

from pipelines.claims.experiments.scripts.task import MOMENTUM, RATE, keras_net, task, tensorflow_devices

job = task()
tensorflow_devices(1)
net = keras_net(job)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
optimizer = keras.optimizers.SGD(RATE, MOMENTUM)
optimizer.build(net.trainable_variables)


@tf.function
def step(x, y):
    """Take one step."""
    with tf.GradientTape() as tape:
        value = loss(y, net(x, training=True)) / job.batch
    optimizer.apply(tape.gradient(value, net.trainable_variables), net.trainable_variables)


x, y = job.data()
dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(job.batch, drop_remainder=True)
for x, y in job.timed(dataset):
    step(x, y)
job.end(net.get_weights())
