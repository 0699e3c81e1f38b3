"""The messages of the gRPC protocols, generated from the .proto files here.

A client needs a handful of messages; the packages that ship the official ones bring a whole framework along
(tensorflow, kserve: seconds of import). After a change of a .proto file: ``python -m serving.clients.proto``.
"""
