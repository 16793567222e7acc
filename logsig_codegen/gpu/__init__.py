"""Plans for GPUs: partition, spilling, shared memory and occupancy. Values only; ``emit/cuda`` writes the text."""
