"""Load tests of any server by its address, and the calibration of the load tester."""
