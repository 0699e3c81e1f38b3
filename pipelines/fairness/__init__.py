"""What makes the rows of a run comparable, and what shows that they are.

order         in which rows are measured: random, seeded        (pure)
affinity      which processors servers and generator run on
processes     CPU time and threads of a server, seen from outside while it is under load
compute       whether a runtime kept to its compute threads     (pure)
machine       what the machine did besides: other processes, stolen time, a calibration loop
noise         whether it was too much                           (pure)
rounds        several measurements of a row become one          (pure)
"""
