"""Turn JSON and protobuf into tensors, and back."""
