"""When requests are due, and what the generator is told."""
