"""docs/routes.md names every route of the server, and says who may call it."""

from __future__ import annotations

import http.client

import grpc
from kserve import ModelRepository
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from routes import documented, filled, grpc_status

from serving.launch import Server
from serving.limits import Held
from serving.open_inference.bodies import Bodies, Bounds
from serving.open_inference.dataplane import Plane, Turns
from serving.open_inference.rest import application

TABLE = documented("Open Inference")


def test_the_table_has_every_route() -> None:
    found = {
        ("REST", f"{verb} {route.path}")
        for route in application(
            Plane(ModelRepository(), has_repository=True), Bodies(Bounds(), Held(1)), Turns()
        ).routes
        for verb in route.methods - {"HEAD"}  # the same without its body
    }
    service = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    found |= {("gRPC", f"/{service.full_name}/{method.name}") for method in service.methods}
    assert set(TABLE) == found


def test_the_server_keeps_to_it(echo: Server) -> None:
    urls = {name: url.partition("://")[2] for name, url in echo.recipe.endpoints.items()}
    with grpc.insecure_channel(urls["open-inference-grpc"]) as channel:
        for (port, route), who in TABLE.items():
            if port == "gRPC":
                is_closed = grpc_status(channel, route).startswith("UNIMPLEMENTED")
            else:
                link = http.client.HTTPConnection(urls["open-inference-rest"], timeout=30)
                link.request(*filled(route, "echo"))
                is_closed = link.getresponse().status in (404, 405)
                link.close()
            assert is_closed == (who == "nobody"), route
        assert grpc_status(channel, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo") != "OK"
