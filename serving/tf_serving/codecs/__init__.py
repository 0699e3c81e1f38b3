"""JSON and protobuf to tensors, and back."""
