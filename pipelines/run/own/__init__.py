"""Takes a user's own model file into the workspace: from then on it is a model like any other."""
