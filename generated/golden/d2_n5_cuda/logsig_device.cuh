/* What generated device code is written in: one number per variable, arithmetic that is the same on every machine.
 *
 * Nothing is included: run-time compilation has no system headers. Products and sums are contracted where the text says
 * so, and nowhere else (compile with -fmad=false, or -ffp-contract=off on the host).
 */
#ifndef LOGSIG_DEVICE_CUH
#define LOGSIG_DEVICE_CUH

#ifndef LOGSIG_REAL_BITS
#error "define LOGSIG_REAL_BITS as 32 or 64"
#endif

#ifdef __CUDACC__
#define LOGSIG_SAMPLE static __host__ __device__ __forceinline__
#define LOGSIG_SAMPLE_METHOD __host__ __device__ __forceinline__
#define LOGSIG_DEVICE static __device__ __forceinline__
#define LOGSIG_DEVICE_MEMBER static __device__ __forceinline__
#define LOGSIG_PHASE static __device__
#else
#define LOGSIG_SAMPLE static inline __attribute__((unused))
#define LOGSIG_SAMPLE_METHOD inline
#define LOGSIG_DEVICE static inline __attribute__((unused))
#define LOGSIG_DEVICE_MEMBER static inline
#define LOGSIG_PHASE static
#endif

#if defined(__CUDACC__) || defined(LOGSIG_EMULATION)
#define LOGSIG_GRID 1 /* there are grids: kernels are wanted, not their device functions alone */
#else
#define LOGSIG_GRID 0
#endif

#if LOGSIG_REAL_BITS == 64
typedef double logsig_real;
#ifdef __CUDA_ARCH__
#define LOGSIG_FMA(a, b, c) fma((a), (b), (c))
#else
#define LOGSIG_FMA(a, b, c) __builtin_fma((a), (b), (c))
#endif
#else
typedef float logsig_real;
#ifdef __CUDA_ARCH__
#define LOGSIG_FMA(a, b, c) fmaf((a), (b), (c))
#else
#define LOGSIG_FMA(a, b, c) __builtin_fmaf((a), (b), (c))
#endif
#endif

typedef logsig_real logsig_vec; /* one sample per thread */
#define LOGSIG_SET1(x) ((logsig_real)(x))
#define LOGSIG_NEG(a) (-(a))
#define LOGSIG_ADD(a, b) ((a) + (b))
#define LOGSIG_SUB(a, b) ((a) - (b))
#define LOGSIG_MUL(a, b) ((a) * (b))
#define LOGSIG_FNMA(a, b, c) LOGSIG_FMA(-(a), (b), (c))

/* A row in shared memory. Volatile: a number is read where the schedule reads it. The compiler would otherwise keep in
 * registers whatever is read twice, and spill. */
typedef volatile logsig_real *const logsig_row;

#endif
