"""The tables of README.md and docs/: each function turns results into Markdown."""
