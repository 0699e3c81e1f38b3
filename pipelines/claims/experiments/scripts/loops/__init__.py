"""The same training by a plain loop and by Lightning: bare, and with validation, a best checkpoint and an early stop."""
