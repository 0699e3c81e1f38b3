"""Offers the same load, as the same bytes, to every server, and measures its answers.

    settings      the caller's choices, and the limits               (data)
    plan          when requests are due; what the generator is told
    generator     the process that sends, and its transports
    recording     what happened to each request; the answers kept    (data, and its files)
    statistics    a recording becomes a Scenario: percentiles, intervals, validity   (pure)
    measure       plan -> process -> Scenario; `conditions` reads the machine, `repeat` measures again
    curve         one run against any server, and latency over throughput
    standalone    tests of a server by its address: repetitions, the highest rate, calibration
    truth         a server whose latencies are known

The scenarios are MLPerf Inference's (MLCommons, "MLPerf Inference Rules", section Scenarios):
``single-stream`` has one request in flight and sends the next when it is answered; ``multi-stream`` sends
``concurrency`` requests together, and the next ones when all are answered; ``offline`` keeps ``concurrency``
requests in flight, and its result is throughput; ``server`` sends at Poisson arrivals, whatever the server does,
and counts latency from the scheduled start.
"""
