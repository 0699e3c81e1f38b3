"""PyTorch's side: each module imports PyTorch, and is run in a process of its own."""
