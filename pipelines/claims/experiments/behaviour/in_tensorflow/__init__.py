"""TensorFlow's side: each module imports TensorFlow, and is run in a process of its own."""
