"""The commands of slipway, one file each or two that share their work; nothing heavy is imported at the top."""
