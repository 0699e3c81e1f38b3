"""How tensors lie in messages: what clients and servers of a protocol share."""
