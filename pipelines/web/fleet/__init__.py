"""The servers that the page asks: which there are, how they are, and what --allow-control lets it do to them."""
