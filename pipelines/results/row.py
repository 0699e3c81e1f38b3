"""The rows of a report: artifacts in process, in a browser, behind a protocol, in a container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pipelines.results.load import Scenario, Spread
from pipelines.results.words import SERVED, UNSERVED, Doc, Measurement, Status, Via, Where


@dataclass(frozen=True, slots=True)
class Row:
    """One variant of one path behind one protocol, in process, or in a browser.

    ``cold_start_s`` runs from the start of the process to its first answer; the protocols of one
    server share the start. In a browser it runs from the page's request to the first answer: ``load_s``, then
    ``first_call_s``, both by the page's clock.
    ``share_of_in_process`` is the ``offline`` throughput over that of the same artifact in process, with the same
    number of threads a prediction: one caller there, several requests outstanding here, so a server that answers
    them side by side can exceed 1.
    ``peak_memory_bytes`` sums the peaks of all processes of the server until then, so that the
    protocol of a server that was measured later includes the one before. ``breaches`` say where more threads computed
    than were allowed, ``threads_seen`` whether that could have been seen; ``threads_probe`` is a short closed loop of
    large requests, one at a time, that is in no other figure. ``rounds`` is how often the row was
    measured; figures are medians over them.
    """

    path: Annotated[str, Doc("Name of the path.")]
    variant: Annotated[str, Doc("Name of the variant.")]
    where: Annotated[
        Where, Doc("in-process: in the worker's own process; in-browser: in a page; served: by its server.")
    ]
    protocol: Annotated[str | None, Doc("Name of the protocol; null unless it is served.")]
    status: Annotated[Status, Doc("ok, failed or skipped.")]
    reason: Annotated[
        str | None, Doc("Why it failed or was skipped, its first line the sentence, the rest a log; null if ok.")
    ]
    server: Annotated[str | None, Doc("The server that answered; null in process.")] = None
    cold_start_s: Annotated[float | None, Doc("From the start of the process to its first answer, seconds.")] = None
    first_call_s: Annotated[
        float | None, Doc("The first call of the loaded model, seconds: a part of the cold start; null if served.")
    ] = None
    peak_memory_bytes: Annotated[
        int | None, Doc("Sum of the peak memory of all processes of the server or browser, bytes.")
    ] = None
    download_bytes: Annotated[
        int | None, Doc("Bodies that a page had received until its first answer, not compressed; null elsewhere.")
    ] = None
    load_s: Annotated[
        float | None, Doc("From a page's request until its model was loaded, seconds; null elsewhere.")
    ] = None
    page_memory_bytes: Annotated[
        int | None,
        Doc("Memory of the page after its load tests, as the browser counts it, bytes; null elsewhere."),
    ] = None
    share_of_in_process: Annotated[
        float | None, Doc("Offline throughput over that of the same artifact in process, same number of threads.")
    ] = None
    answer: Annotated[str | None, Doc("One answer, as a person reads it.")] = None
    scenarios: Annotated[tuple[Scenario, ...], Doc("The load tests of the row.")] = ()
    measurement: Annotated[
        Measurement,
        Doc("What the figures are worth: sound; disturbed by the machine, and not to be compared; missing."),
    ] = "missing"
    measurement_reason: Annotated[str | None, Doc("Why the measurement is disturbed or missing; null if sound.")] = None
    rounds: Annotated[int, Doc("How often the row was measured.")] = 1
    spreads: Annotated[
        tuple[Spread, ...], Doc("How far the row's own figures scattered over the rounds; empty for one.")
    ] = ()
    breaches: Annotated[
        tuple[str, ...], Doc("Load tests in which more threads computed than were allowed; empty if none.")
    ] = ()
    threads_seen: Annotated[bool, Doc("Whether there were processors enough for such a breach to show.")] = False
    threads_probe: Annotated[
        Scenario | None, Doc("One large request at a time, to see how many threads compute; null in process.")
    ] = None

    @classmethod
    def at(cls, path: str, variant: str, way: str, status: Status, reason: str | None, **figures: Any) -> Row:
        """Make a row; ``way`` is the name of a protocol, in-process or in-browser."""
        where = UNSERVED.get(way, SERVED)
        return cls(path, variant, where, way if where == SERVED else None, status, reason, **figures)

    @property
    def way(self) -> str:
        """The protocol's name; where there is none, in-process or in-browser."""
        return self.where if self.protocol is None else self.protocol


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """One protocol of an artifact's server in a container, reached one way.

    ``row`` holds the figures as those of any row, so that they stand beside the row of the bare
    process with the same path, variant and protocol. Its ``cold_start_s`` runs from the request to
    create the container, as ``start_s`` does, which ends when the server can predict; all rows of one
    container share both. ``image_bytes`` is what the image takes on disk, shared layers included.
    """

    via: Annotated[
        Via, Doc("How the container was reached: by a port published on this machine, or at its own address.")
    ]
    row: Annotated[Row, Doc("The figures, as those of the same protocol of the bare process.")]
    image: Annotated[str | None, Doc("The image that the container was started from.")] = None
    image_bytes: Annotated[int | None, Doc("Size of the image, bytes; layers that it shares with others included.")] = (
        None
    )
    start_s: Annotated[
        float | None, Doc("From the request to create the container until it could predict, seconds.")
    ] = None


@dataclass(frozen=True, slots=True)
class LayerCost:
    """The cost a request of one layer between a client and a model, from ``single-stream``: one request at a time.

    Layers lie on one another: in process, a protocol of the bare process, the container's own address,
    the published port. ``added_*`` is against ``below``, the layer beneath; ``over_in_process_*``
    against the model's own call. CPU time that is added is that of server and proxy together. A difference
    can be negative: each side has its noise. ``why_missing`` says why a layer has no figures.
    """

    path: Annotated[str, Doc("Name of the path.")]
    variant: Annotated[str, Doc("Name of the variant.")]
    protocol: Annotated[str, Doc("Name of the protocol, or in-process.")]
    via: Annotated[
        Literal["in-process", "bare process", "container address", "published port"],
        Doc("In process, the bare process, or how a container was reached."),
    ]
    below: Annotated[
        str | None, Doc("The layer beneath, protocol and way: what is added is against it. Null in process.")
    ] = None
    p50_ms: Annotated[float | None, Doc("Median latency of one request after the other, milliseconds.")] = None
    server_cpu_ms: Annotated[
        float | None, Doc("CPU time of the server's processes for one request, or of the call in process, ms.")
    ] = None
    proxy_cpu_ms: Annotated[
        float | None, Doc("CPU time of the proxy of a container's ports for one request, milliseconds.")
    ] = None
    client_cpu_us: Annotated[
        float | None, Doc("CPU time of the load generator for one request, microseconds; null in process.")
    ] = None
    request_bytes: Annotated[float | None, Doc("Mean size of a request's body, bytes; null in process.")] = None
    response_bytes: Annotated[float | None, Doc("Mean size of an answer's body, bytes; null in process.")] = None
    over_in_process_ms: Annotated[float | None, Doc("Median latency less that in process, milliseconds.")] = None
    over_in_process_cpu_ms: Annotated[
        float | None, Doc("CPU time of server and proxy less that in process, milliseconds.")
    ] = None
    added_ms: Annotated[
        float | None, Doc("Median latency less that of the layer below, milliseconds; negative is noise or a saving.")
    ] = None
    added_cpu_ms: Annotated[
        float | None, Doc("CPU time of server and proxy less that of the layer below, milliseconds.")
    ] = None
    why_missing: Annotated[str | None, Doc("Why there are no figures; null if there are.")] = None
