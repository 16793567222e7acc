/* Along paths: a warp takes 32 paths, a thread walks along one, its state in registers or in a row of shared memory.
 *
 * Points come in chunks, the next one on its way while the steps of this one are taken. Nothing but the state is kept;
 * backward, every step is undone before it is differentiated. Threads whose path is shorter wait for the others.
 */
#ifndef LOGSIG_WALKS_CUH
#define LOGSIG_WALKS_CUH

#include "logsig_tiles.cuh"

/* The paths of a warp, in shared memory: where each begins in the arrays of points and of derivatives, and how many
 * points it has. */
struct logsig_paths {
    long long begin[LOGSIG_WARP], d_begin[LOGSIG_WARP], points[LOGSIG_WARP];
};

/* Takes paths first ... first + rows - 1; returns the number of points of the longest one. */
LOGSIG_DEVICE long long logsig_take(volatile logsig_paths *paths, int lane, long long first, int rows, long long stride,
                                    long long d_stride, long long length, const long long *lengths,
                                    const long long *starts)
{
    const long long b = first + lane;
    const bool live = lane < rows;
    paths->begin[lane] = !live ? 0 : starts ? starts[b] : b * stride;
    paths->d_begin[lane] = !live ? 0 : starts ? starts[b] : b * d_stride;
    paths->points[lane] = !live ? 0 : lengths ? lengths[b] : length;
    __syncwarp();
    long long longest = 0;
    for (int r = 0; r < LOGSIG_WARP; r++)
        if (paths->points[r] > longest) longest = paths->points[r];
    return longest;
}

LOGSIG_DEVICE void logsig_commit()
{
#if LOGSIG_ASYNC
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/* Waits for all chunks asked for but the last. */
LOGSIG_DEVICE void logsig_await_chunk()
{
#if LOGSIG_ASYNC
    asm volatile("cp.async.wait_group 1;" ::: "memory");
#endif
    __syncwarp();
}

/* Asks for points from ... from + CHUNK - 1 of every path, as far as it has them. */
template <int DIMENSION, int CHUNK, int STRIDE>
LOGSIG_DEVICE void logsig_ask(int lane, volatile logsig_real *to, const logsig_real *path,
                              const volatile logsig_paths *paths, long long from)
{
#pragma unroll 4
    for (int r = 0; r < LOGSIG_WARP; r++) {
        const long long left = (paths->points[r] - from) * DIMENSION;
        const int count = left < CHUNK * DIMENSION ? (int)left : CHUNK * DIMENSION;
        const logsig_real *const source = path + paths->begin[r] + from * DIMENSION;
        for (int c = lane; c < count; c += LOGSIG_WARP) logsig_copy_one(to + r * STRIDE + c, source + c);
    }
    logsig_commit();
}

/* Stores the derivatives with respect to points from + 1 ... from + CHUNK of every path, as far as it has them. */
template <int DIMENSION, int CHUNK, int STRIDE>
LOGSIG_DEVICE void logsig_give(int lane, logsig_real *d_path, const volatile logsig_real *chunk,
                               const volatile logsig_paths *paths, long long from)
{
#pragma unroll 4
    for (int r = 0; r < LOGSIG_WARP; r++) {
        const long long left = (paths->points[r] - 1 - from) * DIMENSION;
        const int count = left < CHUNK * DIMENSION ? (int)left : CHUNK * DIMENSION;
        logsig_real *const to = d_path + paths->d_begin[r] + (from + 1) * DIMENSION;
        for (int c = lane; c < count; c += LOGSIG_WARP) to[c] = chunk[r * STRIDE + c];
    }
}

/* Takes the state w over all steps of this thread's path. Walk: DIMENSION, CHUNK, STRIDE, the function step, and, where
 * PAIRS says so, steps, which takes it over two at once. */
template <class Walk, class W>
LOGSIG_DEVICE void logsig_walk_forward(int lane, W &w, volatile logsig_real *chunks, const logsig_real *path,
                                       const volatile logsig_paths *paths, long long longest)
{
    const int d = Walk::DIMENSION, chunk = Walk::CHUNK, stride = Walk::STRIDE;
    const long long steps = paths->points[lane] - 1;
    logsig_real here[Walk::DIMENSION];
#pragma unroll
    for (int k = 0; k < d; k++) here[k] = steps > 0 ? path[paths->begin[lane] + k] : 0;
    volatile logsig_real *now = chunks, *next = chunks + LOGSIG_WARP * stride;
    logsig_ask<Walk::DIMENSION, Walk::CHUNK, Walk::STRIDE>(lane, now, path, paths, 1);
    for (long long t = 0; t < longest - 1; t += chunk) {
        logsig_ask<Walk::DIMENSION, Walk::CHUNK, Walk::STRIDE>(lane, next, path, paths, t + 1 + chunk);
        logsig_await_chunk();
        const volatile logsig_real *x = now + lane * stride;
        const int count = steps - t < chunk ? (int)(steps - t) : chunk;
        int s = 0;
        if constexpr (Walk::PAIRS != 0) {
#pragma unroll 1
            for (; s + 1 < count; s += 2, x += 2 * d) {
                logsig_real v[2 * Walk::DIMENSION];
#pragma unroll
                for (int k = 0; k < d; k++) {
                    const logsig_real there = x[k], beyond = x[k + d];
                    v[k] = there - here[k];
                    v[k + d] = beyond - there;
                    here[k] = beyond;
                }
                Walk::steps(w, v);
            }
        }
#pragma unroll 1
        for (; s < count; s++, x += d) {
            logsig_real v[Walk::DIMENSION];
#pragma unroll
            for (int k = 0; k < d; k++) {
                const logsig_real there = x[k];
                v[k] = there - here[k];
                here[k] = there;
            }
            Walk::step(w, v);
        }
        __syncwarp();
        volatile logsig_real *const used = now;
        now = next;
        next = used;
    }
}

/* Takes state and derivative back over all steps; the derivative of point t + 1 is that of the displacement that ends
 * there less that of the one that begins there. d_first (or null): where the derivatives of the first points go. */
template <class Walk, class DW, class W>
LOGSIG_DEVICE void logsig_walk_backward(int lane, DW &dw, W &w, volatile logsig_real *chunks, const logsig_real *path,
                                        logsig_real *d_path, logsig_real *d_first, const volatile logsig_paths *paths,
                                        long long longest)
{
    const int d = Walk::DIMENSION, chunk = Walk::CHUNK, stride = Walk::STRIDE;
    const long long steps = paths->points[lane] - 1;
    logsig_real there[Walk::DIMENSION], after[Walk::DIMENSION];
#pragma unroll
    for (int k = 0; k < d; k++) {
        there[k] = steps > 0 ? path[paths->begin[lane] + steps * d + k] : 0;
        after[k] = 0;
    }
    volatile logsig_real *now = chunks, *next = chunks + LOGSIG_WARP * stride;
    long long t = longest > 1 ? (longest - 2) / chunk * chunk : -1;
    if (t >= 0) logsig_ask<Walk::DIMENSION, Walk::CHUNK, Walk::STRIDE>(lane, now, path, paths, t);
    for (; t >= 0; t -= chunk) {
        if (t > 0)
            logsig_ask<Walk::DIMENSION, Walk::CHUNK, Walk::STRIDE>(lane, next, path, paths, t - chunk);
        else
            logsig_commit();
        logsig_await_chunk();
        const int count = steps - t < chunk ? (int)(steps - t) : chunk;
        volatile logsig_real *x = now + lane * stride + (count - 1) * d;
#pragma unroll 1
        for (int s = 0; s < count; s++, x -= d) {
            logsig_real v[Walk::DIMENSION], dv[Walk::DIMENSION];
#pragma unroll
            for (int k = 0; k < d; k++) {
                const logsig_real here = x[k];
                v[k] = there[k] - here;
                there[k] = here;
            }
            Walk::back(dw, w, v, dv);
#pragma unroll
            for (int k = 0; k < d; k++) {
                x[k] = dv[k] - after[k];
                after[k] = dv[k];
            }
        }
        __syncwarp();
        logsig_give<Walk::DIMENSION, Walk::CHUNK, Walk::STRIDE>(lane, d_path, now, paths, t);
        __syncwarp();
        volatile logsig_real *const used = now;
        now = next;
        next = used;
    }
    if (steps >= 0) {
#pragma unroll
        for (int k = 0; k < d; k++) (d_first ? d_first : d_path + paths->d_begin[lane])[k] = 0 - after[k];
    }
}

#endif
