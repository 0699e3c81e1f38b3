"""The process that sends, and its transports."""
