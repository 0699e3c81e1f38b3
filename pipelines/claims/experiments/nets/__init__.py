"""The networks that speed and memory are measured on, and the arms: ways to run the same network.

shapes        names, inputs, first weights, work, and how weights are compared     (no framework)
torch_nets    the networks in PyTorch
keras_nets    their twins in Keras
torch_arms    PyTorch: eager, channels last, compiled
keras_arms    TensorFlow: eager, tf.function, XLA, a SavedModel, Keras's predict
child         measures one arm in its process
readings      ratios of arms, and the controls                                     (no framework)
"""
