"""List all cases: those that run against any server, and those that need a server of their own, with the reason."""

from __future__ import annotations

from serving.conformance import errors, examples, outputs, services, urls, values
from serving.conformance.case import Case

CASES: tuple[Case, ...] = (
    *urls.CASES,
    *values.CASES,
    *outputs.CASES,
    *examples.CASES,
    *errors.CASES,
    *services.CASES,
)
"""Cases for any server that serves the models of ``write.py``."""

ELSEWHERE: dict[str, str] = {
    "G2": "needs a model that cannot be loaded; TF Serving does not start with one",
    "H2": "the server must not start",
    "H3": "rewrites the server's configuration file",
    "H4": "rewrites the server's configuration file",
    "H6": "needs a server with other flags",
    "H9": "writes into the models' folders",
    "H10": "the server must not start",
    "H11": "needs a server with other flags",
    "I1": "needs --enable_batching",
    "I2": "needs --enable_batching",
    "I5": "needs --enable_batching",
    "I6": "needs --enable_batching",
    "I7": "needs --enable_batching",
    "I8": "needs --enable_batching",
    "J1": "needs to start the server",
    "J2": "needs to start the server",
    "J3": "needs to start the server",
    "J6": "needs to start the server",
    "K5": "needs a server without --monitoring_config_file",
    "K7": "needs --ssl_config_file",
    "K8": "needs --enable_grpc_healthcheck_service",
    "K9": "needs a server with another --rest_api_timeout_in_ms",
    "K10": "needs --grpc_socket_path",
    "K11": "needs --prefer_tflite_model",
}
"""Cases that only this project's own tests run, because they set the server's flags and files."""

SECTIONS = {
    "A": (1, 2, 3, 4, 5, 6, 8, 9, 10, 13, 14, 15, 16, 17, 18, 19),
    "B": (1, 2, 3, 5, 6, 9),
    "C": (1, 2, 3, 4, 6, 9, 12, 13, 15, 16, 17, 18, 20, 21, 22, 23, 24, 27, 28, 29, 30, 31, 32, 33, 36, 37, 40),
    "D": (1, 2, 4, 5, 6, 7, 9, 11, 12, 13),
    "E": (1, 2, 4, 6, 9, 11, 13, 14, 15),
    "F": (1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 14, 15, 17, 18),
    "G": (1, 2, 5, 7),
    "H": (1, 2, 3, 4, 6, 7, 9, 10, 11),
    "I": (1, 2, 5, 6, 7, 8),
    "J": (1, 2, 3, 6),
    "K": (1, 2, 3, 4, 5, 7, 8, 9, 10, 11),
}
"""The numbers of the cases in the reference, by section."""

IDS = tuple(f"{section}{number}" for section, numbers in SECTIONS.items() for number in numbers)
