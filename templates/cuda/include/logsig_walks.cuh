/* Along paths: 32 threads walk along 32 paths, the state in registers or in a row of shared memory.
 *
 * A warp does so by itself, or the warps of a block do it together, each with a part of the state that takes nothing
 * from the others' (PARTS of them; 1: a warp by itself). Points come in chunks, the next one on its way while the steps
 * of this one are taken. Nothing but the state is kept; backward, nothing but a form, the derivative of the state.
 * Threads whose path is shorter wait for the others.
 */
#ifndef LOGSIG_WALKS_CUH
#define LOGSIG_WALKS_CUH

#include "logsig_tiles.cuh"

/* The 32 paths, in shared memory: where each begins in the arrays of points and of derivatives, and how many points it
 * has. */
struct logsig_paths {
    long long begin[LOGSIG_WARP], d_begin[LOGSIG_WARP], points[LOGSIG_WARP];
};

/* Takes paths first ... first + rows - 1; returns the number of points of the longest one. Warps that walk together all
 * call it, and write the same numbers. */
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
    if (!lengths) return length;
    long long longest = 0;
    for (int r = 0; r < LOGSIG_WARP; r++)
        if (paths->points[r] > longest) longest = paths->points[r];
    return longest;
}

/* All threads that walk together are here, and see what the others have written to shared memory. Warps that walk
 * together may be at different places of the text. */
template <int PARTS> LOGSIG_DEVICE void logsig_meet()
{
    if constexpr (PARTS == 1) {
        __syncwarp();
    } else {
#ifdef __CUDA_ARCH__
        __syncwarp();
        asm volatile("bar.sync 0;" ::: "memory");
#else
        __syncthreads();
#endif
    }
}

/* ---- chunks of points ---------------------------------------------------------------------------------------- */

LOGSIG_DEVICE void logsig_commit()
{
#if LOGSIG_ASYNC
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/* Waits for all chunks asked for but the last. */
template <int PARTS = 1> LOGSIG_DEVICE void logsig_await_chunk()
{
#if LOGSIG_ASYNC
    asm volatile("cp.async.wait_group 1;" ::: "memory");
#endif
    logsig_meet<PARTS>();
}

/* How many of CHUNK points from `from` on this lane's path has, of the first `points`. */
template <int CHUNK> LOGSIG_DEVICE int logsig_points_left(long long points, long long from)
{
    const long long left = points - from;
    return left >= CHUNK ? CHUNK : left > 0 ? (int)left : 0;
}

#define LOGSIG_ROWS_AT_ONCE 8 /* addresses of so many rows are looked up before the first is used */

/* The rows of a chunk that this warp moves, number by number: every PARTS-th. move(r, begin, c): moves column c + lane of
 * row r. mine: how many columns there are of row `lane`; FULL: of all rows, all of them. */
template <int COLUMNS, int PARTS, bool FULL, class Move>
LOGSIG_DEVICE void logsig_move_rows(int lane, int part, const volatile long long *begin, int mine, Move move)
{
    const bool even = LOGSIG_WARP % (LOGSIG_ROWS_AT_ONCE * PARTS) == 0;
#pragma unroll 1
    for (int first = part; first < LOGSIG_WARP; first += LOGSIG_ROWS_AT_ONCE * PARTS) {
        long long at[LOGSIG_ROWS_AT_ONCE];
#pragma unroll
        for (int i = 0; i < LOGSIG_ROWS_AT_ONCE; i++)
            if (even || first + i * PARTS < LOGSIG_WARP) at[i] = begin[first + i * PARTS];
#pragma unroll
        for (int i = 0; i < LOGSIG_ROWS_AT_ONCE; i++) {
            const int r = first + i * PARTS;
            const int count = FULL ? COLUMNS : __shfl_sync(0xFFFFFFFFu, mine, r % LOGSIG_WARP);
            if (even || r < LOGSIG_WARP) {
#pragma unroll
                for (int c = 0; c < COLUMNS; c += LOGSIG_WARP)
                    if ((FULL && c + LOGSIG_WARP <= COLUMNS) || c + lane < count) move(r, at[i], c);
            }
        }
    }
}

/* Asks for points from ... from + CHUNK - 1 of every path, as far as it has them. Warps that walk together (part: which
 * of them) ask for some of the paths each. */
template <int DIMENSION, int CHUNK, int STRIDE, int PARTS = 1>
LOGSIG_DEVICE void logsig_ask(int lane, volatile logsig_real *to, const logsig_real *path,
                              const volatile logsig_paths *paths, long long from, int part = 0)
{
    const int columns = CHUNK * DIMENSION;
    const int mine = logsig_points_left<CHUNK>(paths->points[lane], from) * DIMENSION;
    const logsig_real *const source = path + from * DIMENSION + lane;
    const logsig_tile_part target = logsig_part_of_tile(to + lane);
    const auto move = [&](int r, long long begin, int c) { logsig_copy_to(target, r * STRIDE + c, source + begin + c); };
    if (__all_sync(0xFFFFFFFFu, mine == columns))
        logsig_move_rows<columns, PARTS, true>(lane, part, paths->begin, mine, move);
    else if (__any_sync(0xFFFFFFFFu, mine > 0))
        logsig_move_rows<columns, PARTS, false>(lane, part, paths->begin, mine, move);
    logsig_commit();
}

/* Stores the derivatives with respect to points from + 1 ... from + CHUNK of every path, as far as it has them: the sums
 * of those in PARTS chunks that follow one another. */
template <int DIMENSION, int CHUNK, int STRIDE, int PARTS = 1>
LOGSIG_DEVICE void logsig_give(int lane, logsig_real *d_path, const volatile logsig_real *chunk,
                               const volatile logsig_paths *paths, long long from, int part = 0)
{
    const int columns = CHUNK * DIMENSION;
    const int mine = logsig_points_left<CHUNK>(paths->points[lane] - 1, from) * DIMENSION;
    logsig_real *const target = d_path + (from + 1) * DIMENSION + lane;
    chunk += lane;
    const auto move = [&](int r, long long begin, int c) {
        logsig_real sum = chunk[r * STRIDE + c];
#pragma unroll
        for (int p = 1; p < PARTS; p++) sum += chunk[(p * LOGSIG_WARP + r) * STRIDE + c];
        target[begin + c] = sum;
    };
    if (__all_sync(0xFFFFFFFFu, mine == columns))
        logsig_move_rows<columns, PARTS, true>(lane, part, paths->d_begin, mine, move);
    else if (__any_sync(0xFFFFFFFFu, mine > 0))
        logsig_move_rows<columns, PARTS, false>(lane, part, paths->d_begin, mine, move);
}

/* ---- steps --------------------------------------------------------------------------------------------------- */

/* Takes the state w over the displacement from the point `here` to the one at x, which is `here` afterwards. */
template <class Walk, class W>
LOGSIG_DEVICE void logsig_step(W &w, logsig_real (&here)[Walk::DIMENSION], const logsig_real *x)
{
    logsig_real v[Walk::DIMENSION];
#pragma unroll
    for (int k = 0; k < Walk::DIMENSION; k++) {
        const logsig_real there = x[k];
        v[k] = there - here[k];
        here[k] = there;
    }
    Walk::step(w, v);
}

/* Takes w over the `count` points at x; whole: that is a chunk, for all threads of the warp. UNROLL steps of a whole
 * chunk are one piece of text. */
template <class Walk, class W>
LOGSIG_DEVICE void logsig_steps(W &w, logsig_real (&here)[Walk::DIMENSION], const logsig_real *x, int count, bool whole)
{
    const int d = Walk::DIMENSION;
    int s = 0;
    if constexpr (Walk::UNROLL > 1) {
        if (whole) {
#pragma unroll Walk::UNROLL
            for (int t = 0; t < Walk::CHUNK; t++) logsig_step<Walk>(w, here, x + t * d);
            return;
        }
    }
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
    for (; s < count; s++, x += d) logsig_step<Walk>(w, here, x);
}

/* Takes the form dw back over the displacement from the point at x to `there`, the other way round; dx gets the
 * derivative with respect to the point it ends at: that of the displacement that ends there less that of the one that
 * begins there. */
template <class Walk, class DW>
LOGSIG_DEVICE void logsig_back(DW &dw, logsig_real (&there)[Walk::DIMENSION], logsig_real (&after)[Walk::DIMENSION],
                               const logsig_real *x, logsig_real *dx)
{
    logsig_real v[Walk::DIMENSION], dv[Walk::DIMENSION];
#pragma unroll
    for (int k = 0; k < Walk::DIMENSION; k++) {
        const logsig_real here = x[k];
        v[k] = there[k] - here;
        there[k] = here;
    }
    Walk::back(dw, v, dv);
#pragma unroll
    for (int k = 0; k < Walk::DIMENSION; k++) {
        dx[k] = dv[k] - after[k];
        after[k] = dv[k];
    }
}

/* The same for the `count` points at x, from the last to the first. */
template <class Walk, class DW>
LOGSIG_DEVICE void logsig_backs(DW &dw, logsig_real (&there)[Walk::DIMENSION], logsig_real (&after)[Walk::DIMENSION],
                                const logsig_real *x, logsig_real *dx, int count, bool whole)
{
    const int d = Walk::DIMENSION;
    if constexpr (Walk::UNROLL > 1) {
        if (whole) {
#pragma unroll Walk::UNROLL
            for (int t = Walk::CHUNK - 1; t >= 0; t--) logsig_back<Walk>(dw, there, after, x + t * d, dx + t * d);
            return;
        }
    }
#pragma unroll 1
    for (int s = (count - 1) * d; s >= 0; s -= d) logsig_back<Walk>(dw, there, after, x + s, dx + s);
}

/* A warp that walks by itself. */
template <class Walk> struct logsig_alone {
    enum { DIMENSION = Walk::DIMENSION, CHUNK = Walk::CHUNK, STRIDE = Walk::STRIDE, PARTS = 1 };
    template <class W>
    LOGSIG_DEVICE_MEMBER void take(int, W &w, logsig_real (&here)[DIMENSION], const logsig_real *x, int count, bool whole)
    {
        logsig_steps<Walk>(w, here, x, count, whole);
    }
    template <class DW>
    LOGSIG_DEVICE_MEMBER void take_back(int, DW &dw, logsig_real (&there)[DIMENSION], logsig_real (&after)[DIMENSION],
                                        const logsig_real *x, logsig_real *dx, int count, bool whole)
    {
        logsig_backs<Walk>(dw, there, after, x, dx, count, whole);
    }
};

/* ---- walks --------------------------------------------------------------------------------------------------- */

/* Takes the state w over all steps of this thread's path. Walk: DIMENSION, CHUNK, STRIDE, PARTS, and the function take,
 * which does what logsig_steps does, with this warp's part of the state. */
template <class Walk, class W>
LOGSIG_DEVICE void logsig_walk_forward(int lane, W &w, volatile logsig_real *chunks, const logsig_real *path,
                                       const volatile logsig_paths *paths, long long longest, int part = 0)
{
    const int d = Walk::DIMENSION, chunk = Walk::CHUNK, stride = Walk::STRIDE, parts = Walk::PARTS;
    const long long steps = paths->points[lane] - 1;
    logsig_real here[Walk::DIMENSION];
#pragma unroll
    for (int k = 0; k < d; k++) here[k] = steps > 0 ? path[paths->begin[lane] + k] : 0;
    volatile logsig_real *now = chunks, *next = chunks + LOGSIG_WARP * stride;
    logsig_ask<d, chunk, stride, parts>(lane, now, path, paths, 1, part);
    for (long long t = 0; t < longest - 1; t += chunk) {
        logsig_ask<d, chunk, stride, parts>(lane, next, path, paths, t + 1 + chunk, part);
        logsig_await_chunk<parts>();
        const int count = logsig_points_left<chunk>(steps, t);
        const bool whole = __all_sync(0xFFFFFFFFu, count == chunk);
        Walk::take(part, w, here, (const logsig_real *)(now + lane * stride), count, whole);
        logsig_meet<parts>();
        volatile logsig_real *const used = now;
        now = next;
        next = used;
    }
}

/* Takes the form dw back over all steps. Walk: as for the way forward, with the function take_back. d_first (or
 * null): where the derivatives of the first points go. Where warps walk together, PARTS chunks for what each of them
 * contributes to the derivatives follow those for the points; else derivatives replace points. */
template <class Walk, class DW>
LOGSIG_DEVICE void logsig_walk_backward(int lane, DW &dw, volatile logsig_real *chunks, const logsig_real *path,
                                        logsig_real *d_path, logsig_real *d_first, const volatile logsig_paths *paths,
                                        long long longest, int part = 0)
{
    const int d = Walk::DIMENSION, chunk = Walk::CHUNK, stride = Walk::STRIDE, parts = Walk::PARTS;
    const long long steps = paths->points[lane] - 1;
    logsig_real there[Walk::DIMENSION], after[Walk::DIMENSION];
#pragma unroll
    for (int k = 0; k < d; k++) {
        there[k] = steps > 0 ? path[paths->begin[lane] + steps * d + k] : 0;
        after[k] = 0;
    }
    volatile logsig_real *now = chunks, *next = chunks + LOGSIG_WARP * stride;
    volatile logsig_real *const apart = chunks + 2 * LOGSIG_WARP * stride;
    long long t = longest > 1 ? (longest - 2) / chunk * chunk : -1;
    if (t >= 0) logsig_ask<d, chunk, stride, parts>(lane, now, path, paths, t, part);
    for (; t >= 0; t -= chunk) {
        if (t > 0)
            logsig_ask<d, chunk, stride, parts>(lane, next, path, paths, t - chunk, part);
        else
            logsig_commit();
        logsig_await_chunk<parts>();
        const int count = logsig_points_left<chunk>(steps, t);
        const bool whole = __all_sync(0xFFFFFFFFu, count == chunk);
        volatile logsig_real *const sums = parts == 1 ? now : apart;
        const int own = (part * LOGSIG_WARP + lane) * stride;
        Walk::take_back(part, dw, there, after, (const logsig_real *)(now + lane * stride), (logsig_real *)(sums + own),
                        count, whole);
        logsig_meet<parts>();
        logsig_give<d, chunk, stride, parts>(lane, d_path, sums, paths, t, part);
        if constexpr (parts == 1) __syncwarp();
        volatile logsig_real *const used = now;
        now = next;
        next = used;
    }
    if constexpr (parts > 1) {
        logsig_meet<parts>();
#pragma unroll
        for (int k = 0; k < d; k++) apart[(part * LOGSIG_WARP + lane) * stride + k] = after[k];
        logsig_meet<parts>();
        if (part > 0) return;
#pragma unroll
        for (int k = 0; k < d; k++)
            for (int p = 1; p < parts; p++) after[k] += apart[(p * LOGSIG_WARP + lane) * stride + k];
    }
    if (steps >= 0) {
#pragma unroll
        for (int k = 0; k < d; k++) (d_first ? d_first : d_path + paths->d_begin[lane])[k] = 0 - after[k];
    }
}

#endif
