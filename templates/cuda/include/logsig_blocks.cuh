/* Large problems: a block works on a few samples, all vectors in shared memory, structure constants in tables.
 *
 * The numbers of GROUP samples lie side by side, so that one entry of a table serves all of them and shared memory is
 * read 16 bytes at a time. Statement by statement, each thread, or each warp where sums are long and few, adds up
 * coordinates of one vector; then the block waits. Every sum is formed in the order of the table, by lanes in a fixed
 * order: results do not depend on the batch.
 */
#ifndef LOGSIG_BLOCKS_CUH
#define LOGSIG_BLOCKS_CUH

#include "logsig_device.cuh"

#ifdef LOGSIG_EMULATION
#include "logsig_emulation.h"
#endif

#define LOGSIG_WARP 32

/* One number of each of the block's samples. */
struct __align__(LOGSIG_GROUP * sizeof(logsig_real)) logsig_pack {
    logsig_real at[LOGSIG_GROUP];
};

/* c * x[a] * y[b] */
struct __align__(2 * sizeof(logsig_real)) logsig_entry {
    unsigned short a, b;
    logsig_real c;
};

/* Where the entries of a sum begin, and how many there are. */
struct logsig_sum {
    unsigned first, count;
};

LOGSIG_DEVICE logsig_pack logsig_zero()
{
    logsig_pack zero;
#pragma unroll
    for (int r = 0; r < LOGSIG_GROUP; r++) zero.at[r] = 0;
    return zero;
}

/* sum += c * x */
LOGSIG_DEVICE void logsig_add(logsig_pack &sum, logsig_real c, const logsig_pack &x)
{
#pragma unroll
    for (int r = 0; r < LOGSIG_GROUP; r++) sum.at[r] = LOGSIG_FMA(c, x.at[r], sum.at[r]);
}

LOGSIG_DEVICE void logsig_add_product(logsig_pack &sum, logsig_real c, const logsig_pack &x, const logsig_pack &y)
{
#pragma unroll
    for (int r = 0; r < LOGSIG_GROUP; r++) sum.at[r] = LOGSIG_FMA(LOGSIG_MUL(c, x.at[r]), y.at[r], sum.at[r]);
}

/* sum += scale * the sum of entries first, first + step, ... */
LOGSIG_DEVICE void logsig_gather(logsig_pack &sum, const logsig_entry *entries, unsigned count, int step,
                                 logsig_real scale, const logsig_pack *x, const logsig_pack *y)
{
#pragma unroll 4
    for (unsigned e = 0; e < count; e++) {
        const logsig_entry entry = entries[e * step];
        logsig_add_product(sum, LOGSIG_MUL(scale, entry.c), x[entry.a], y[entry.b]);
    }
}

/* The same for two pairs of vectors at once. */
LOGSIG_DEVICE void logsig_gather(logsig_pack &sum, const logsig_entry *entries, unsigned count, int step,
                                 logsig_real scale, const logsig_pack *x, const logsig_pack *y, logsig_real scale2,
                                 const logsig_pack *x2, const logsig_pack *y2)
{
#pragma unroll 4
    for (unsigned e = 0; e < count; e++) {
        const logsig_entry entry = entries[e * step];
        logsig_add_product(sum, LOGSIG_MUL(scale, entry.c), x[entry.a], y[entry.b]);
        logsig_add_product(sum, LOGSIG_MUL(scale2, entry.c), x2[entry.a], y2[entry.b]);
    }
}

/* The sum over the lanes of a warp, in lane 0. */
LOGSIG_DEVICE void logsig_over_lanes(logsig_pack &sum)
{
#pragma unroll
    for (int distance = LOGSIG_WARP / 2; distance; distance /= 2)
#pragma unroll
        for (int r = 0; r < LOGSIG_GROUP; r++) sum.at[r] += __shfl_down_sync(0xffffffffu, sum.at[r], distance);
}

/* The first `columns` numbers of rows first ... of an operand; samples beyond the batch are zero. */
LOGSIG_DEVICE void logsig_take_rows(logsig_pack *to, int columns, const logsig_real *from, long long stride,
                                    long long first, long long batch)
{
    for (int k = threadIdx.x; k < columns; k += blockDim.x) {
        logsig_pack pack;
#pragma unroll
        for (int r = 0; r < LOGSIG_GROUP; r++) pack.at[r] = first + r < batch ? from[(first + r) * stride + k] : 0;
        to[k] = pack;
    }
}

LOGSIG_DEVICE void logsig_give_rows(logsig_real *to, long long stride, const logsig_pack *from, int columns,
                                    long long first, long long batch)
{
    for (int k = threadIdx.x; k < columns; k += blockDim.x) {
        const logsig_pack pack = from[k];
#pragma unroll
        for (int r = 0; r < LOGSIG_GROUP; r++)
            if (first + r < batch) to[(first + r) * stride + k] = pack.at[r];
    }
}

/* Adds the first `columns` numbers of rows first ... of an operand. */
LOGSIG_DEVICE void logsig_add_to_rows(logsig_pack *sums, int columns, const logsig_real *from, long long stride,
                                      long long first, long long batch)
{
    for (int k = threadIdx.x; k < columns; k += blockDim.x) {
        logsig_pack sum = sums[k];
#pragma unroll
        for (int r = 0; r < LOGSIG_GROUP; r++)
            if (first + r < batch) sum.at[r] = sum.at[r] + from[(first + r) * stride + k];
        sums[k] = sum;
    }
}

LOGSIG_DEVICE void logsig_copy_vector(logsig_pack *to, const logsig_pack *from, int size)
{
    for (int k = threadIdx.x; k < size; k += blockDim.x) to[k] = from[k];
}

LOGSIG_DEVICE void logsig_clear_vector(logsig_pack *to, int size)
{
    for (int k = threadIdx.x; k < size; k += blockDim.x) to[k] = logsig_zero();
}

/* The part of a sum's `count` entries that a lane of a warp adds up. */
LOGSIG_DEVICE unsigned logsig_share(unsigned count, unsigned lane)
{
    return count > lane ? (count - lane + LOGSIG_WARP - 1) / LOGSIG_WARP : 0;
}

/* ---- paths ---------------------------------------------------------------------------------------------------- */

/* The paths of a block. */
struct logsig_group {
    long long begin[LOGSIG_GROUP], d_begin[LOGSIG_GROUP], points[LOGSIG_GROUP];
    long long longest;
};

LOGSIG_DEVICE logsig_group logsig_take_group(long long first, long long batch, long long stride, long long d_stride,
                                             long long length, const long long *lengths, const long long *starts)
{
    logsig_group group;
    group.longest = 0;
#pragma unroll
    for (int r = 0; r < LOGSIG_GROUP; r++) {
        const long long b = first + r;
        const bool live = b < batch;
        group.begin[r] = !live ? 0 : starts ? starts[b] : b * stride;
        group.d_begin[r] = !live ? 0 : starts ? starts[b] : b * d_stride;
        group.points[r] = !live ? 0 : lengths ? lengths[b] : length;
        if (group.points[r] > group.longest) group.longest = group.points[r];
    }
    return group;
}

/* Coordinate k of displacement t of every path; zero beyond its end. */
LOGSIG_DEVICE logsig_pack logsig_displacement(const logsig_group &group, const logsig_real *path, int dimension,
                                              long long t, int k)
{
    logsig_pack v;
#pragma unroll
    for (int r = 0; r < LOGSIG_GROUP; r++) {
        const logsig_real *const x = path + group.begin[r] + t * dimension + k;
        v.at[r] = t >= 0 && t + 1 < group.points[r] ? x[dimension] - x[0] : 0;
    }
    return v;
}

/* The derivative with respect to the point after displacement t, where there is one: dv less that of the displacement
 * after it, which dv replaces in `after`. */
LOGSIG_DEVICE void logsig_give_derivative(const logsig_group &group, logsig_real *d_path, int dimension, long long t, int k,
                                          const logsig_pack &dv, logsig_pack &after)
{
#pragma unroll
    for (int r = 0; r < LOGSIG_GROUP; r++)
        if (t + 1 < group.points[r]) {
            d_path[group.d_begin[r] + (t + 1) * dimension + k] = dv.at[r] - after.at[r];
            after.at[r] = dv.at[r];
        }
}

LOGSIG_DEVICE void logsig_give_first(const logsig_group &group, logsig_real *d_path, logsig_real *d_first, int dimension,
                                     int k, const logsig_pack &after)
{
#pragma unroll
    for (int r = 0; r < LOGSIG_GROUP; r++)
        if (group.points[r] > 0)
            (d_first ? d_first + r * dimension : d_path + group.d_begin[r])[k] = 0 - after.at[r];
}

#endif
