"""Serves the ground truth: a server whose latencies are known beforehand, over HTTP/1.1 and gRPC.

    behaviour     parses a path, and says when its answer is due     (pure)
    clock         calls back at the nanosecond that is due
    http_server   HTTP/1.1
    grpc_server   gRPC, any method
    start         a server in a process of its own: `ground_truth`

``python -m pipelines.loadtest.truth http|grpc`` prints its port and serves on loopback. The path says what to do
(MS, FOR and AFTER are milliseconds, fractions allowed):

    /echo/MS                  the body, MS after its arrival
    /serial/MS                the body, one request at a time, MS each
    /stall/AFTER/FOR/MS       as echo; AFTER past the first request of this path the whole server stalls
    /stall-now/FOR            answers, and stalls the whole server at once
    /size/BYTES               BYTES bytes, at once, whatever the request
    /reversed                 answers in pairs, the later request first
    /late                     the lateness of answers since the last such request, as JSON (clock.Lateness)
    /every/N/FAULT            each Nth request meets FAULT, the others echo at once
    /FAULT                    every request meets FAULT

Clients that take only names as gRPC methods write /ground.Truth/stall_4000_500_5 for /stall/4000/500/5.

A stall is the server's, not a request's: a request that arrives during it is begun at its end, an answer that is
due during it leaves at its end. Faults: ``wrong`` (other bytes), ``half`` (a whole answer with half of the body),
``swapped`` (the body of the request before it), ``error``, ``silent`` (never answers), ``metadata`` (gRPC only:
echoes the header authorization), ``chunked`` (many pieces), ``close`` (the last answer of its connection), ``short``
(ends in mid-body), ``reset`` (resets in mid-body), ``long`` (bytes after the end), ``drop`` (closes without an
answer).

A request arrives when the kernel has its last byte (:mod:`pipelines.loadtest.generator.sockets`): the delay until
this server is woken is in no latency. It spends its last microseconds before an answer in a loop.
"""
