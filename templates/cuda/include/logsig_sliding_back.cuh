/* The gradient of windows that overlap: a thread takes a unit of them, as in logsig_sliding.cuh.
 *
 * Derivatives by suffixes add up from the first start to the last, where they are that of the middle; derivatives by
 * prefixes add up from the last end to the first. So a unit is gone through three times:
 *
 *     back, over the starts:   from the middle to the longest suffix;
 *     forth, over both:        the suffix loses a step, the prefix gains one. At each window the product is
 *                              differentiated: what is found of the suffix goes on with it, what is found of the prefix
 *                              goes to global memory, number by number, the 32 units of the warp side by side;
 *     back, over the ends:     the prefix loses a step, and what was found of it is added when its window's turn has come.
 *
 * Nothing is kept on the way but these rows: a step is undone by a join with its displacement reversed. No derivative
 * of a product depends on the last degree, so that suffixes and prefixes go without it. Derivatives by displacements are
 * written for each unit by itself; whoever starts the kernel adds them up for each point.
 */
#ifndef LOGSIG_SLIDING_BACK_CUH
#define LOGSIG_SLIDING_BACK_CUH

#include "logsig_sliding.cuh"

/* A row in global memory: neighbouring numbers are as far from each other as a warp has lanes. */
struct logsig_spread_row {
    logsig_real *at;
    LOGSIG_SAMPLE_METHOD logsig_real &operator[](int k) const { return at[k * LOGSIG_WARP]; }
};

/* The rows of a lane, in shared memory: suffix and prefix without the last degree; the derivative by the window at hand,
 * then by its suffix; the sum of those by suffixes, and after these by prefixes. */
struct logsig_unit_rows {
    volatile logsig_real *suffix, *prefix, *d_window, *sum;
};

/* Waits for all chunks asked for but the last two. */
LOGSIG_DEVICE void logsig_await_two_chunks()
{
#if LOGSIG_ASYNC
    asm volatile("cp.async.wait_group 2;" ::: "memory");
#endif
    __syncwarp();
}

/* Waits for everything that this lane has asked for; then all lanes have. */
LOGSIG_DEVICE void logsig_await_all()
{
#if LOGSIG_ASYNC
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
    __syncwarp();
}

/* Asks for the derivatives by window t of every unit that has it; to: the row of lane 0. */
template <class Chain>
LOGSIG_DEVICE void logsig_ask_windows(int lane, volatile logsig_real *to, const logsig_real *d_out, long long d_out_stride,
                                      const volatile logsig_paths *starts, long long t, long long mine)
{
    const int columns = t < mine ? (int)Chain::SIZE : 0;
    const logsig_real *const from = d_out + t * d_out_stride + lane;
    const logsig_tile_part target = logsig_part_of_tile(to + lane);
    const auto move = [&](int r, long long begin, int c) { logsig_copy_to(target, r * Chain::ROW + c, from + begin + c); };
    if (__all_sync(0xFFFFFFFFu, columns == Chain::SIZE))
        logsig_move_rows<Chain::SIZE, 1, true>(lane, 0, starts->d_begin, columns, move);
    else if (__any_sync(0xFFFFFFFFu, columns > 0))
        logsig_move_rows<Chain::SIZE, 1, false>(lane, 0, starts->d_begin, columns, move);
    logsig_commit();
}

/* Stores the derivatives by displacements of a chunk, the first of which is that of step t; segment: which steps there
 * are. begin: where those of each unit begin. */
template <class Chain>
LOGSIG_DEVICE void logsig_give_steps(int lane, logsig_real *to, const volatile logsig_real *chunk,
                                     const volatile logsig_paths *segment, const volatile long long *begin, long long t)
{
    const int d = Chain::DIMENSION, columns = Chain::CHUNK * d;
    const int mine = logsig_points_left<Chain::CHUNK>(segment->points[lane] - 1, t) * d;
    logsig_real *const target = to + t * d + lane;
    chunk += lane;
    const auto move = [&](int r, long long first, int c) { target[first + c] = chunk[r * Chain::STRIDE + c]; };
    if (__all_sync(0xFFFFFFFFu, mine == columns))
        logsig_move_rows<Chain::CHUNK * Chain::DIMENSION, 1, true>(lane, 0, begin, mine, move);
    else if (__any_sync(0xFFFFFFFFu, mine > 0))
        logsig_move_rows<Chain::CHUNK * Chain::DIMENSION, 1, false>(lane, 0, begin, mine, move);
    __syncwarp();
}

/* The displacement from the point `here` to the one at x, which is `here` afterwards, and, as `undone`, the other way. */
template <int DIMENSION>
LOGSIG_DEVICE void logsig_move_on(logsig_real (&v)[DIMENSION], logsig_real (&undone)[DIMENSION],
                                  logsig_real (&here)[DIMENSION], const volatile logsig_real *x)
{
#pragma unroll
    for (int k = 0; k < DIMENSION; k++) {
        const logsig_real there = x[k];
        v[k] = there - here[k];
        undone[k] = 0 - v[k];
        here[k] = there;
    }
}

/* Differentiates the product of suffix and prefix of window t, as far as this unit has it; asks for the next one's row. */
template <class Chain>
LOGSIG_DEVICE void logsig_window_back(int lane, const logsig_unit_rows &at, const logsig_windows &given,
                                      const logsig_real *d_out, const volatile logsig_paths *starts, long long t,
                                      long long mine, logsig_real *d_prefixes)
{
    const int size = Chain::SIZE;
    logsig_await_all();
    if (t < mine) {
        logsig_row suffix = at.suffix, prefix = at.prefix, g = at.d_window, sum = at.sum;
        const logsig_spread_row d_prefix = {d_prefixes + t * size * LOGSIG_WARP};
        Chain::combine_back(g, suffix, prefix, d_prefix);
#pragma unroll 8
        for (int k = 0; k < size; k++) sum[k] = sum[k] + g[k];
    }
    __syncwarp();
    logsig_ask_windows<Chain>(lane, at.d_window - lane * Chain::ROW, d_out, given.out_stride, starts, t + 1, mine);
}

/* Forth over starts and ends: suffix and prefix are those of the first window, and become those of the last one; the sum,
 * which is zero, becomes the derivative by the middle.
 *
 * Chain: DIMENSION, SIZE (of a log-signature), STATE (without the last degree), CHUNK, STRIDE, ROW and STATE_ROW (distances
 * in shared memory); join, prepend, and the derivatives join_back, prepend_back, combine_back, which write that of the
 * first operand over that of the result, and that of a displacement over it. chunks: room for two pairs. */
template <class Chain>
LOGSIG_DEVICE void logsig_windows_to_middle(int lane, const logsig_unit_rows &at, volatile logsig_real *chunks,
                                            const logsig_real *d_out, const volatile logsig_units *units,
                                            const logsig_windows &given, long long mine, logsig_real *d_prefixes,
                                            logsig_real *d_starts)
{
    const int d = Chain::DIMENSION, chunk = Chain::CHUNK, tile = LOGSIG_WARP * Chain::STRIDE;
    const volatile logsig_paths *const starts = &units->starts, *const ends = &units->ends;
    const long long before = starts->points[lane] - 1, behind = ends->points[lane] - 1, all = given.windows * given.step;
    logsig_row suffix = at.suffix, prefix = at.prefix, sum = at.sum;
    logsig_real at_start[Chain::DIMENSION], at_end[Chain::DIMENSION];
#pragma unroll
    for (int k = 0; k < d; k++) {
        at_start[k] = before > 0 ? given.path[starts->begin[lane] + k] : 0;
        at_end[k] = behind > 0 ? given.path[ends->begin[lane] + k] : 0;
    }
    volatile logsig_real *now = chunks, *next = chunks + 2 * tile;
    logsig_ask_windows<Chain>(lane, at.d_window - lane * Chain::ROW, d_out, given.out_stride, starts, 0, mine);
    logsig_ask<Chain::DIMENSION, Chain::CHUNK, Chain::STRIDE>(lane, now, given.path, starts, 1);
    logsig_ask<Chain::DIMENSION, Chain::CHUNK, Chain::STRIDE>(lane, now + tile, given.path, ends, 1);
    long long window = 0, until = 0;
    for (long long t = 0; t < all; t += chunk) {
        logsig_ask<Chain::DIMENSION, Chain::CHUNK, Chain::STRIDE>(lane, next, given.path, starts, t + 1 + chunk);
        logsig_ask<Chain::DIMENSION, Chain::CHUNK, Chain::STRIDE>(lane, next + tile, given.path, ends, t + 1 + chunk);
        logsig_await_two_chunks();
        const int count = all - t < chunk ? (int)(all - t) : chunk;
        volatile logsig_real *x = now + lane * Chain::STRIDE;
#pragma unroll 1
        for (int i = 0; i < count; i++, x += d) {
            logsig_real v[Chain::DIMENSION], undone[Chain::DIMENSION];
            if (t + i == until) {
                logsig_window_back<Chain>(lane, at, given, d_out, starts, window, mine, d_prefixes);
                window++;
                until += given.step;
            }
            if (t + i < before) {
                logsig_move_on(v, undone, at_start, x);
                Chain::prepend(suffix, undone);
                Chain::prepend_back(sum, suffix, v);
#pragma unroll
                for (int k = 0; k < d; k++) x[k] = v[k];
            }
            if (t + i < behind) {
                logsig_move_on(v, undone, at_end, x + tile);
                Chain::join(prefix, v);
            }
        }
        __syncwarp();
        logsig_give_steps<Chain>(lane, d_starts, now, starts, ends->d_begin, t);
        volatile logsig_real *const used = now;
        now = next;
        next = used;
    }
    logsig_await_all();
}

/* Back over the ends: the prefix is that of the last window; the sum is zero. */
template <class Chain>
LOGSIG_DEVICE void logsig_prefixes_back(int lane, const logsig_unit_rows &at, volatile logsig_real *chunks,
                                        const volatile logsig_paths *ends, const logsig_windows &given, long long mine,
                                        logsig_real *d_prefixes, logsig_real *d_ends)
{
    const int size = Chain::SIZE;
    logsig_row prefix = at.prefix, sum = at.sum;
    long long window = given.windows - 1, until = window * given.step;
    const auto add = [&](long long t) {
        if (t != until) return;
        if (window < mine) {
            const logsig_spread_row d_prefix = {d_prefixes + window * size * LOGSIG_WARP};
#pragma unroll 8
            for (int k = 0; k < size; k++) sum[k] = sum[k] + d_prefix[k];
        }
        window--;
        until -= given.step;
    };
    const auto take = [&](auto &v, volatile logsig_real *x) {
        logsig_real undone[Chain::DIMENSION];
#pragma unroll
        for (int k = 0; k < Chain::DIMENSION; k++) undone[k] = 0 - v[k];
        Chain::join(prefix, undone);
        Chain::join_back(sum, prefix, v);
#pragma unroll
        for (int k = 0; k < Chain::DIMENSION; k++) x[k] = v[k];
    };
    const auto gone = [&](long long t, const volatile logsig_real *chunk) {
        logsig_give_steps<Chain>(lane, d_ends, chunk, ends, ends->d_begin, t);
    };
    const long long all = until;
    add(all);
    logsig_go_back<Chain>(lane, chunks, given.path, ends, all, take, add, gone);
}

/* All of that for the units of a warp, whose middles, without the last degree, are the rows `suffix`, or zero. The rows
 * `sum` are derivatives by the middles in between, when between() is called. */
template <class Chain, class Between>
LOGSIG_DEVICE void logsig_units_back(int lane, const logsig_unit_rows &at, volatile logsig_real *chunks,
                                     const logsig_real *d_out, volatile logsig_units *units, const logsig_windows &given,
                                     long long mine, logsig_real *d_prefixes, logsig_real *d_starts, logsig_real *d_ends,
                                     Between between)
{
    logsig_row suffix = at.suffix;
    for (int k = 0; k < Chain::STATE; k++) at.prefix[k] = 0;
    for (int k = 0; k < Chain::SIZE; k++) at.sum[k] = 0;
    logsig_go_back<Chain>(
        lane, chunks, given.path, &units->starts, given.windows * given.step,
        [&](auto &v, volatile logsig_real *) { Chain::prepend(suffix, v); }, [](long long) {},
        [](long long, volatile logsig_real *) {});
    logsig_await_all();
    logsig_windows_to_middle<Chain>(lane, at, chunks, d_out, units, given, mine, d_prefixes, d_starts);
    between();
    for (int k = 0; k < Chain::SIZE; k++) at.sum[k] = 0;
    logsig_prefixes_back<Chain>(lane, at, chunks, &units->ends, given, mine, d_prefixes, d_ends);
}

#endif
