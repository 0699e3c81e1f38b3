"""What claims are measured with: fresh processes in turn, statistics, and the experiments themselves."""
