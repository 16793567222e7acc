"""CUDA text from the same programs: device functions, and the kernels around them."""
