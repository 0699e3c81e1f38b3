"""Hold the messages of the gRPC protocols, generated from the .proto files here.

The clients need only a few messages. The packages with the official ones import a whole framework
(tensorflow, kserve: seconds of import). After a change to a .proto file, run ``python -m serving.clients.proto``.
"""
