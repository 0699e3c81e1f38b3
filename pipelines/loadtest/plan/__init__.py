"""Plans when requests are due, and tells the generator."""
