"""The load test: the same bytes, offered in the same ways, to every server.

    settings      what the caller chooses, and the limits          (data)
    schedule      when requests are due; trace reads them          (pure)
    statistics    percentiles and how many samples they need       (pure)
    intervals     of percentiles and ratios, from repetitions      (pure; steady, timeline, histogram, merge, queueing)
    validity      why a result is not valid                        (pure)
    summary       a recording becomes a Scenario                   (pure)
    recording     what happened to each request; answers kept      (data, and its files)
    generator     the process that sends; wakeup, priority, http_transport, http_response, grpc_transport, stamped
    measure       plan -> process -> Scenario: `measure`; live looks on while it runs, conditions at the machine
    inprocess     the same scenarios without a server: `measure_in_process`
    search        the highest rate that holds a target              (pure; find_rate does it)
    curve         one run against any server, and latency over throughput
    alone         several runs, their intervals; target, display, prometheus, compare
    truth         a server whose latencies are known; selftest measures it

The scenarios are MLPerf Inference's (MLCommons, "MLPerf Inference Rules", section Scenarios):
``single-stream`` has one request outstanding and sends the next when the answer is there; ``multi-stream`` sends
``concurrency`` together, and the next when all are answered;
``offline`` keeps ``concurrency`` requests outstanding, throughput is its result; ``server`` sends at
Poisson arrivals, whatever the server does, and counts latency from the scheduled start.
"""
