"""The same training by a plain loop and by Lightning: bare, and with validation, best checkpoint and early stop."""
