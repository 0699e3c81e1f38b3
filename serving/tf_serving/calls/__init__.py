"""Handle the calls of the API: predict, classify, regress, metadata, reload."""
