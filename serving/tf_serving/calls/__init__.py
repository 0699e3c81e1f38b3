"""What a request asks for: predict, classify, regress, metadata, reload."""
