"""Runs stages in a process of their own: the worker, and its functions."""
