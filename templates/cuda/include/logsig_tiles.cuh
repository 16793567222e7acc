/* Tiles: 32 rows of every operand in shared memory, one thread per row, every access to global memory coalesced.
 *
 * A warp owns a tile and works by itself. Row r of an operand begins at r * STRIDE, with STRIDE such that the 32
 * threads meet no bank, or a pair of them one, when each reads the same column of its own row. Where rows follow one
 * another in global memory without gaps, and in shared memory too, a tile is one piece: the copy engine moves it
 * (compute capability 9.0 and later), or 16 bytes per thread at a time.
 */
#ifndef LOGSIG_TILES_CUH
#define LOGSIG_TILES_CUH

#include "logsig_device.cuh"

#ifdef LOGSIG_EMULATION
#include "logsig_emulation.h"
#endif

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define LOGSIG_COPY_ENGINE 1
#else
#define LOGSIG_COPY_ENGINE 0
#endif
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
#define LOGSIG_ASYNC 1
#else
#define LOGSIG_ASYNC 0
#endif

#define LOGSIG_WARP 32

/* The shared memory of a block: as much as its launch asks for. */
extern __shared__ __align__(16) unsigned char memory[];

/* The threads that share a tile, and what they wait for. */
struct logsig_warp {
    int lane;
    int index; /* of the warp within its block */
    unsigned barrier; /* in shared memory: counts what the copy engine brings */
    unsigned phase;
};

/* Shared memory of a warp begins with its barrier. */
#define LOGSIG_BARRIER_BYTES 16

LOGSIG_DEVICE unsigned logsig_shared(const volatile void *at)
{
#ifdef __CUDA_ARCH__
    unsigned address;
    asm("{ .reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t; }" : "=r"(address) : "l"(at));
    return address;
#else
    (void)at;
    return 0;
#endif
}

/* This thread's warp, with `memory` its part of the shared memory. */
LOGSIG_DEVICE logsig_warp logsig_this_warp(unsigned char *memory)
{
    logsig_warp warp = {(int)(threadIdx.x % LOGSIG_WARP), (int)(threadIdx.x / LOGSIG_WARP), logsig_shared(memory), 0};
#if LOGSIG_COPY_ENGINE
    if (warp.lane == 0) {
        asm volatile("mbarrier.init.shared.b64 [%0], 1;" ::"r"(warp.barrier) : "memory");
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
#endif
    __syncwarp();
    return warp;
}

LOGSIG_DEVICE bool logsig_aligned(const void *at)
{
    return ((unsigned long long)at & 15) == 0;
}

/* ---- from global to shared memory ---------------------------------------------------------------------------- */

LOGSIG_DEVICE void logsig_copy_one(volatile logsig_real *to, const logsig_real *from)
{
#if LOGSIG_ASYNC
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(logsig_shared(to)), "l"(from),
                 "n"(sizeof(logsig_real))
                 : "memory");
#else
    *to = *from;
#endif
}

/* A place in shared memory to copy numbers to: its address is worked out once. */
struct logsig_tile_part {
    volatile logsig_real *at;
    unsigned shared;
};
LOGSIG_DEVICE logsig_tile_part logsig_part_of_tile(volatile logsig_real *at)
{
    return {at, logsig_shared(at)};
}
LOGSIG_DEVICE void logsig_copy_to(const logsig_tile_part &to, int offset, const logsig_real *from)
{
#if LOGSIG_ASYNC
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(to.shared + offset * (unsigned)sizeof(logsig_real)),
                 "l"(from), "n"(sizeof(logsig_real))
                 : "memory");
#else
    to.at[offset] = *from;
#endif
}

/* `bytes` bytes, a multiple of 16, between addresses that are multiples of 16. */
LOGSIG_DEVICE void logsig_copy_piece(logsig_warp &warp, volatile logsig_real *to, const logsig_real *from, int bytes)
{
#if LOGSIG_COPY_ENGINE
    if (warp.lane == 0) {
        asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(warp.barrier), "r"(bytes)
                     : "memory");
        asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                         logsig_shared(to)),
                     "l"(from), "r"(bytes), "r"(warp.barrier)
                     : "memory");
    }
#elif LOGSIG_ASYNC
    for (int i = warp.lane * 16; i < bytes; i += LOGSIG_WARP * 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(logsig_shared(to) + i), "l"((const char *)from + i)
                     : "memory");
#else
    for (int i = warp.lane; i < bytes / (int)sizeof(logsig_real); i += LOGSIG_WARP) to[i] = from[i];
#endif
}

/* Asks for the first COLUMNS numbers of `rows` rows; they are there after logsig_arrived. `stride`: numbers from one row
 * to the next in global memory. */
template <int COLUMNS, int STRIDE>
LOGSIG_DEVICE void logsig_load(logsig_warp &warp, volatile logsig_real *to, const logsig_real *from, long long stride,
                               int rows)
{
    if (STRIDE == COLUMNS && stride == COLUMNS && rows == LOGSIG_WARP && logsig_aligned(from)) {
        logsig_copy_piece(warp, to, from, LOGSIG_WARP * COLUMNS * (int)sizeof(logsig_real));
        return;
    }
    const int count = rows * COLUMNS;
    if (stride == COLUMNS) {
#pragma unroll 4
        for (int i = warp.lane; i < count; i += LOGSIG_WARP)
            logsig_copy_one(to + (i / COLUMNS) * STRIDE + i % COLUMNS, from + i);
        return;
    }
#pragma unroll 4
    for (int i = warp.lane; i < count; i += LOGSIG_WARP)
        logsig_copy_one(to + (i / COLUMNS) * STRIDE + i % COLUMNS, from + (i / COLUMNS) * stride + i % COLUMNS);
}

/* Waits for everything this warp has asked for. */
LOGSIG_DEVICE void logsig_arrived(logsig_warp &warp)
{
#if LOGSIG_ASYNC
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
#if LOGSIG_COPY_ENGINE
    if (warp.lane == 0) asm volatile("{ .reg .b64 s; mbarrier.arrive.shared.b64 s, [%0]; }" ::"r"(warp.barrier) : "memory");
    unsigned done = 0;
    while (!done)
        asm volatile(
            "{ .reg .pred p; mbarrier.try_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
            : "=r"(done)
            : "r"(warp.barrier), "r"(warp.phase)
            : "memory");
    warp.phase ^= 1;
#endif
    __syncwarp();
}

/* ---- from shared to global memory ---------------------------------------------------------------------------- */

/* All threads have written their rows: from here on the warp may store them. */
LOGSIG_DEVICE void logsig_written(logsig_warp &warp)
{
    (void)warp;
#if LOGSIG_COPY_ENGINE
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
    __syncwarp();
}

template <int COLUMNS, int STRIDE>
LOGSIG_DEVICE void logsig_store(logsig_warp &warp, logsig_real *to, long long stride, const volatile logsig_real *from,
                                int rows)
{
    if (STRIDE == COLUMNS && stride == COLUMNS && rows == LOGSIG_WARP && logsig_aligned(to)) {
#if LOGSIG_COPY_ENGINE
        if (warp.lane == 0)
            asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(logsig_shared(from)),
                         "r"(LOGSIG_WARP * COLUMNS * (int)sizeof(logsig_real))
                         : "memory");
        return;
#elif defined(__CUDA_ARCH__)
        const int pieces = LOGSIG_WARP * COLUMNS * (int)sizeof(logsig_real) / 16;
#pragma unroll 4
        for (int i = warp.lane; i < pieces; i += LOGSIG_WARP) {
            unsigned a, b, c, d;
            asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                         : "=r"(a), "=r"(b), "=r"(c), "=r"(d)
                         : "r"(logsig_shared(from) + 16 * i));
            asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"((char *)to + 16 * i), "r"(a), "r"(b), "r"(c),
                         "r"(d)
                         : "memory");
        }
        return;
#endif
    }
    const int count = rows * COLUMNS;
    if (stride == COLUMNS) {
#pragma unroll 4
        for (int i = warp.lane; i < count; i += LOGSIG_WARP) to[i] = from[(i / COLUMNS) * STRIDE + i % COLUMNS];
        return;
    }
#pragma unroll 4
    for (int i = warp.lane; i < count; i += LOGSIG_WARP)
        to[(i / COLUMNS) * stride + i % COLUMNS] = from[(i / COLUMNS) * STRIDE + i % COLUMNS];
}

/* The shared memory of what was stored may be written again, by threads or by the copy engine. */
LOGSIG_DEVICE void logsig_stored(logsig_warp &warp)
{
#if LOGSIG_COPY_ENGINE
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    if (warp.lane == 0) {
        asm volatile("cp.async.bulk.commit_group;" ::: "memory");
        asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
    }
#else
    (void)warp;
#endif
    __syncwarp();
}

#endif
