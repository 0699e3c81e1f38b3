"""Trains a small net with Keras on TensorFlow in three epochs, and goes on from BackupAndRestore's copy."""

import sys

import keras

from pipelines.claims.experiments.scripts.task import MOMENTUM, RATE, keras_net, task, tensorflow_devices

job, every = task(), sys.argv[5]
tensorflow_devices(1)
net = keras_net(job)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
net.compile(keras.optimizers.SGD(RATE, MOMENTUM), loss, jit_compile=False)
backup = keras.callbacks.BackupAndRestore(job.folder / "backup", every if every == "epoch" else int(every))
note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: job.log(int(net.optimizer.iterations) - 1))
x, y = job.data()
net.fit(x, y, job.batch, epochs=3, shuffle=False, verbose=0, callbacks=[backup, note])
job.end(net.get_weights())
