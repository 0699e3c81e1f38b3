"""Look at what code does, and count it: control flow, debugging, styles, eager and graph; nothing is timed."""
