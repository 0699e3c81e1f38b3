"""The load test: the same bytes, offered in the same ways, to every server.

    settings      what the caller chooses, and the limits          (data)
    schedule      when requests are due                            (pure)
    statistics    percentiles and how many samples they need       (pure)
    validity      why a result is not valid                        (pure)
    summary       a recording becomes a Scenario                   (pure)
    recording     what happened to each request; answers kept      (data, and its files)
    generator     the process that sends; wakeup, http_transport, http_response, grpc_transport
    measure       plan -> process -> Scenario: `measure`
    inprocess     the same scenarios without a server: `measure_in_process`

The scenarios are MLPerf Inference's (MLCommons, "MLPerf Inference Rules", section Scenarios):
``single-stream`` has one request outstanding and sends the next when the answer is there;
``offline`` keeps ``concurrency`` requests outstanding, throughput is its result; ``server`` sends at
Poisson arrivals, whatever the server does, and counts latency from the scheduled start.
"""
