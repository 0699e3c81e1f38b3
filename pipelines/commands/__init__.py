"""The commands of slipway, one or two per file; nothing heavy is imported at the top."""
