"""Load models and run them: SavedModel or TFLite, request by request or in batches."""
