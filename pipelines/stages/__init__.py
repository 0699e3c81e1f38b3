"""What runs in a process of its own: the worker, and the functions that it runs."""
