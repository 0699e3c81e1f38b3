"""What claims are measured with: fresh processes in turn, statistics, environments, and the experiments themselves."""
