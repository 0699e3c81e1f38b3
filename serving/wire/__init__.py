"""Read and write tensors in messages, for both clients and servers of a protocol; and what servers share."""
