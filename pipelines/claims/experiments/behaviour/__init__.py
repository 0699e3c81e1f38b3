"""What code does, and how much of it there is: control flow, debugging, styles, eager and graph; nothing is timed."""
