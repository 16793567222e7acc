/* Index arithmetic along paths for dimension 2, degree 5.
 *
 * What a call along paths does beside its kernels: where chunks and windows of paths begin, sums of derivatives at points
 * that they share, steps of streams that are too large for a kernel. A thread per item; the launcher says which task.
 *
 * To compile, here for compute capability 9.0:
 *     nvcc -std=c++17 -fmad=false -arch=sm_90 -DLOGSIG_REAL_BITS=64 -fatbin arrange.cu -o logsig_d2_n5_arrange_f64.fatbin
 *     nvcc -std=c++17 -fmad=false -arch=sm_90 -DLOGSIG_REAL_BITS=32 -fatbin arrange.cu -o logsig_d2_n5_arrange_f32.fatbin
 */
#include "logsig_device.cuh"

#if LOGSIG_GRID
#include "logsig_arrange.cuh"

#if LOGSIG_REAL_BITS == 64
#define ENTRY logsig_d2_n5_arrange_f64
#else
#define ENTRY logsig_d2_n5_arrange_f32
#endif

extern "C" __global__ void __launch_bounds__(128)
    ENTRY(long long task, void *to, const void *x, const void *y, const long long *lengths, const long long *starts,
          long long n0, long long n1, long long n2, long long n3, long long n4, long long n5, long long batch)
{
    const logsig_paths_given given = {to, (const logsig_real *)x, (const logsig_real *)y, lengths, starts,
                                      {n0, n1, n2, n3, n4, n5}, batch};
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < batch;
         i += (long long)gridDim.x * blockDim.x) logsig_arrange(task, given, i);
}
#endif
