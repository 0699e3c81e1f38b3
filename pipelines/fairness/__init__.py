"""Makes the rows of a run comparable, and shows that they are.

order         the order in which rows are measured: random, seeded     (pure)
affinity      the processors that servers and the generator run on
processes     CPU time and threads of a server, seen from outside while it is under load
compute       checks that a runtime kept to its compute threads        (pure)
machine       other work of the machine: other processes, stolen time, a calibration loop
noise         judges whether that was too much                         (pure)
rounds        merges several measurements of a row into one            (pure)
"""
