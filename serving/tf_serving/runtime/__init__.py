"""A loaded model: SavedModel or TFLite, alone or in batches."""
