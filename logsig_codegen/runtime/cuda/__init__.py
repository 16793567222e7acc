"""Kernels on NVIDIA GPUs, called with torch tensors. Nothing of this is imported before a CUDA tensor is seen."""
