"""Trains a small net with Keras on TensorFlow, by a loop of its own, in every process that TF_CONFIG names."""

import keras
import tensorflow as tf

from pipelines.claims.experiments.scripts.task import MOMENTUM, RATE, keras_net, task, tensorflow_devices

job = task()
tensorflow_devices(1)
strategy = tf.distribute.MultiWorkerMirroredStrategy()
rank = strategy.cluster_resolver.task_id
with strategy.scope():
    net = keras_net(job)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    optimizer = keras.optimizers.SGD(RATE, MOMENTUM)
    optimizer.build(net.trainable_variables)


def replica_step(x, y):
    """Take one step on this worker's part of a batch."""
    with tf.GradientTape() as tape:
        value = loss(y, net(x, training=True)) / job.batch
    optimizer.apply(tape.gradient(value, net.trainable_variables), net.trainable_variables)


@tf.function
def step(x, y):
    """Take one step on every worker."""
    strategy.run(replica_step, args=(x, y))


x, y = job.data()
dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(job.batch, drop_remainder=True)
for x, y in job.timed(strategy.experimental_distribute_dataset(dataset)):
    step(x, y)
job.end(net.get_weights(), rank)
