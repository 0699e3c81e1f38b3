"""Trains a small net with Keras on TensorFlow, by fit, in every process that TF_CONFIG names."""

import keras
import tensorflow as tf

from pipelines.claims.experiments.scripts.task import MOMENTUM, RATE, keras_net, task, tensorflow_devices

job = task()
tensorflow_devices(1)
strategy = tf.distribute.MultiWorkerMirroredStrategy()
rank = strategy.cluster_resolver.task_id
with strategy.scope():
    net = keras_net(job)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.SGD(RATE, MOMENTUM), loss, jit_compile=False)
x, y = job.data()
net.fit(x, y, job.batch, shuffle=False, verbose=0, callbacks=[job.stopwatch()])
job.end(net.get_weights(), rank)
