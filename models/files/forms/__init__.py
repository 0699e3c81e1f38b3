"""Loads a user's file by its own framework, in the forms that converters take: one file a form."""
