"""Training: settings, Algorithms, the loop, averages, checkpoints and logs."""
