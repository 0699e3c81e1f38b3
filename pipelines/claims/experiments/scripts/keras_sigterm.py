"""Trains a small net with Keras on TensorFlow; on SIGTERM it saves all, ends, and goes on from there."""

import signal
import sys
import threading

import keras

from pipelines.claims.experiments.scripts.task import MOMENTUM, RATE, keras_net, task, tensorflow_devices

job, told = task(), threading.Event()
signal.signal(signal.SIGTERM, lambda *_: told.set())
tensorflow_devices(1)
saved = job.folder / "saved.keras"
if saved.exists():
    net = keras.models.load_model(saved)
else:
    net = keras_net(job)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.SGD(RATE, MOMENTUM), loss, jit_compile=False)
for number, (x, y) in enumerate(job.batches()):
    if number < int(net.optimizer.iterations):
        continue
    net.train_on_batch(x, y)
    job.log(number)
    if told.is_set():
        net.save(saved)
        sys.exit(0)
job.end(net.get_weights())
