/* Windows that overlap: a thread takes a unit of them, a warp 32 units.
 *
 * A unit is m consecutive windows, `step` steps apart. Their starts lie in one segment of m * step steps, their ends in
 * another one; what lies between the two is the middle, which all have in common:
 *
 *     window t  =  suffix[t] * prefix[t],   suffix[t] = (steps from start t to the end of its segment) * middle,
 *                                           prefix[t] = (steps from the beginning of the other segment to end t).
 *
 * First the suffixes, from the last one to the first: a step is joined on the left. They go to global memory, number by
 * number, the 32 units of the warp side by side, and come back when their window's turn has come. Then the prefixes, from
 * the first to the last: a step is joined on the right, and each window is one product. (logsig_sliding.h does the same on
 * CPUs.) Both chains are rows in shared memory. Points come in chunks, the next one on its way while one is used.
 */
#ifndef LOGSIG_SLIDING_CUH
#define LOGSIG_SLIDING_CUH

#include "logsig_walks.cuh"

/* The segments of starts and of ends of 32 units. d_begin of the starts: where the row of the first window begins. */
struct logsig_units {
    logsig_paths starts, ends;
};

/* What there is to know of all units: `windows` of each, but the last one of a path may have fewer. Unit u of path b is
 * number u * paths + b. suffixes: room for those of a launch. */
struct logsig_windows {
    const logsig_real *path;
    long long path_stride, length;
    const long long *lengths, *starts;
    long long out_stride, window, step, windows, per_path, paths;
};

/* Takes unit number `unit`; returns how many windows it has. */
LOGSIG_DEVICE long long logsig_take_unit(volatile logsig_units *units, int lane, const logsig_windows &given, int dimension,
                                         long long unit, bool live)
{
    const long long path = unit % given.paths, number = unit / given.paths, steps = given.windows * given.step;
    const long long from = number * steps, end = from + given.window - 1, first = number * given.windows;
    const long long windows = !live ? 0 : given.per_path - first < given.windows ? given.per_path - first : given.windows;
    const long long begin = !live ? 0 : given.starts ? given.starts[path] : path * given.path_stride;
    const long long points = !live ? 0 : given.lengths ? given.lengths[path] : given.length;
    const long long before = points - from, behind = points - end, last = (windows - 1) * given.step + 1;
    units->starts.begin[lane] = begin + from * dimension;
    units->starts.d_begin[lane] = (path * given.per_path + first) * given.out_stride;
    units->starts.points[lane] = before < 0 ? 0 : before < steps + 1 ? before : steps + 1;
    units->ends.begin[lane] = begin + end * dimension;
    units->ends.points[lane] = behind < 0 ? 0 : behind < last ? behind : last;
    __syncwarp();
    return windows;
}

/* Goes back over the steps all - 1 ... 0, at least one, of each lane's segment. take(v, x): for each step that there is,
 * with its displacement, and the point it begins at, which may be written over; at(t): for all lanes, after step t;
 * gone(t, chunk): when the warp is done with a chunk, whose first step is t.
 *
 * Chain: DIMENSION, CHUNK, STRIDE. */
template <class Chain, class Take, class At, class Gone>
LOGSIG_DEVICE void logsig_go_back(int lane, volatile logsig_real *chunks, const logsig_real *path,
                                  const volatile logsig_paths *segment, long long all, Take take, At at, Gone gone)
{
    const int d = Chain::DIMENSION, chunk = Chain::CHUNK, stride = Chain::STRIDE;
    const long long steps = segment->points[lane] - 1;
    logsig_real there[Chain::DIMENSION];
#pragma unroll
    for (int k = 0; k < d; k++) there[k] = steps > 0 ? path[segment->begin[lane] + steps * d + k] : 0;
    volatile logsig_real *now = chunks, *next = chunks + LOGSIG_WARP * stride;
    long long t = (all - 1) / chunk * chunk;
    logsig_ask<Chain::DIMENSION, Chain::CHUNK, Chain::STRIDE>(lane, now, path, segment, t);
    for (int count = (int)(all - t); t >= 0; t -= chunk, count = chunk) {
        if (t > 0)
            logsig_ask<Chain::DIMENSION, Chain::CHUNK, Chain::STRIDE>(lane, next, path, segment, t - chunk);
        else
            logsig_commit();
        logsig_await_chunk();
#pragma unroll 1
        for (int i = count - 1; i >= 0; i--) {
            if (t + i < steps) {
                volatile logsig_real *const x = now + lane * stride + i * d;
                logsig_real v[Chain::DIMENSION];
#pragma unroll
                for (int k = 0; k < d; k++) {
                    const logsig_real here = x[k];
                    v[k] = there[k] - here;
                    there[k] = here;
                }
                take(v, x);
            }
            at(t + i);
        }
        __syncwarp();
        gone(t, now);
        volatile logsig_real *const used = now;
        now = next;
        next = used;
    }
}

/* The row s, which is the middle, becomes the suffix of one start after the other, from the last to the first; that of
 * start t goes to suffixes + t * SIZE * LOGSIG_WARP, where `suffixes` is this lane's place.
 *
 * Chain: as above, and SIZE, ROW (distance of rows in shared memory); join, prepend, combine. */
template <class Chain>
LOGSIG_DEVICE void logsig_find_suffixes(int lane, logsig_row s, volatile logsig_real *chunks, const logsig_real *path,
                                        const volatile logsig_paths *starts, long long windows, long long step,
                                        logsig_real *suffixes)
{
    const int size = Chain::SIZE;
    long long start = windows - 1, until = start * step;
    const auto take = [&](auto &v, volatile logsig_real *) { Chain::prepend(s, v); };
    const auto keep = [&](long long t) {
        if (t != until) return;
        logsig_real *const to = suffixes + start * size * LOGSIG_WARP;
#pragma unroll 8
        for (int k = 0; k < size; k++) to[k * LOGSIG_WARP] = s[k];
        start--;
        until -= step;
    };
    const auto gone = [](long long, volatile logsig_real *) {};
    logsig_go_back<Chain>(lane, chunks, path, starts, windows * step, take, keep, gone);
}

/* Multiplies the suffix of window t and the prefix p, and stores the rows of all units that have such a window; s: this
 * lane's row of `rows`. mine: how many windows this unit has. */
template <class Chain>
LOGSIG_DEVICE void logsig_give_window(int lane, logsig_row s, logsig_row p, const logsig_real *suffixes, long long t,
                                      long long mine, const volatile logsig_real *rows, const volatile logsig_paths *starts,
                                      logsig_real *out, long long out_stride)
{
    const int size = Chain::SIZE, row = Chain::ROW, columns = t < mine ? size : 0;
    if (t < mine) {
        const logsig_real *const from = suffixes + t * size * LOGSIG_WARP;
#pragma unroll 8
        for (int k = 0; k < size; k++) s[k] = from[k * LOGSIG_WARP];
        Chain::combine(s, p);
    }
    __syncwarp();
    logsig_real *const to = out + t * out_stride + lane;
    rows += lane;
    const auto move = [&](int r, long long begin, int c) { to[begin + c] = rows[r * row + c]; };
    if (__all_sync(0xFFFFFFFFu, columns == size))
        logsig_move_rows<Chain::SIZE, 1, true>(lane, 0, starts->d_begin, columns, move);
    else if (__any_sync(0xFFFFFFFFu, columns > 0))
        logsig_move_rows<Chain::SIZE, 1, false>(lane, 0, starts->d_begin, columns, move);
    __syncwarp();
}

/* The row p, which is zero, becomes the prefix of one end after the other, and the windows are stored. */
template <class Chain>
LOGSIG_DEVICE void logsig_find_windows(int lane, logsig_row s, logsig_row p, volatile logsig_real *chunks,
                                       const volatile logsig_real *rows, const volatile logsig_units *units,
                                       const logsig_windows &given, long long mine, const logsig_real *suffixes,
                                       logsig_real *out)
{
    const int d = Chain::DIMENSION, chunk = Chain::CHUNK, stride = Chain::STRIDE;
    const volatile logsig_paths *const ends = &units->ends;
    const long long steps = ends->points[lane] - 1, all = (given.windows - 1) * given.step;
    logsig_real here[Chain::DIMENSION];
#pragma unroll
    for (int k = 0; k < d; k++) here[k] = steps > 0 ? given.path[ends->begin[lane] + k] : 0;
    volatile logsig_real *now = chunks, *next = chunks + LOGSIG_WARP * stride;
    logsig_give_window<Chain>(lane, s, p, suffixes, 0, mine, rows, &units->starts, out, given.out_stride);
    logsig_ask<Chain::DIMENSION, Chain::CHUNK, Chain::STRIDE>(lane, now, given.path, ends, 1);
    long long end = 1, until = given.step;
    for (long long t = 0; t < all; t += chunk) {
        logsig_ask<Chain::DIMENSION, Chain::CHUNK, Chain::STRIDE>(lane, next, given.path, ends, t + 1 + chunk);
        logsig_await_chunk();
        const int count = all - t < chunk ? (int)(all - t) : chunk;
#pragma unroll 1
        for (int i = 0; i < count; i++) {
            if (t + i < steps) {
                const volatile logsig_real *const x = now + lane * stride + i * d;
                logsig_real v[Chain::DIMENSION];
#pragma unroll
                for (int k = 0; k < d; k++) {
                    const logsig_real there = x[k];
                    v[k] = there - here[k];
                    here[k] = there;
                }
                Chain::join(p, v);
            }
            if (t + i + 1 < until) continue;
            logsig_give_window<Chain>(lane, s, p, suffixes, end, mine, rows, &units->starts, out, given.out_stride);
            end++;
            until += given.step;
        }
        __syncwarp();
        volatile logsig_real *const used = now;
        now = next;
        next = used;
    }
}

#endif
