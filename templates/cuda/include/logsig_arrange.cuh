/* The tasks of the kernel `arrange`; their numbers are those of the launcher (cuda/host/logsig_gpu_paths.h). */
#ifndef LOGSIG_ARRANGE_CUH
#define LOGSIG_ARRANGE_CUH

#include "logsig_device.cuh"

#ifdef LOGSIG_EMULATION
#include "logsig_emulation.h"
#endif

enum {
    LOGSIG_ZERO, LOGSIG_CUT, LOGSIG_WINDOWS, LOGSIG_GATHER, LOGSIG_ADD, LOGSIG_ADD_FIRSTS, LOGSIG_STEPS, LOGSIG_SUM,
    LOGSIG_POINTS, LOGSIG_STRETCHES, LOGSIG_COPY_POINTS, LOGSIG_ADD_STRETCHES, LOGSIG_ADD_SEGMENTS, LOGSIG_OVERLAY
};

/* n: what a task says of them. lengths, starts: of paths, or null; of chunks for LOGSIG_ADD_FIRSTS. */
struct logsig_paths_given {
    void *to;
    const logsig_real *x, *y;
    const long long *lengths, *starts;
    long long n[6], items;
};

LOGSIG_DEVICE long long logsig_begin(const logsig_paths_given &given, long long path, long long stride)
{
    return given.starts ? given.starts[path] : path * stride;
}

/* Beginnings, then numbers of points, of chunk i: n = chunks of a path, dimension, stride, length, first path. */
LOGSIG_DEVICE void logsig_cut(const logsig_paths_given &given, long long i)
{
    const long long chunks = given.n[0], path = given.n[4] + i / chunks, chunk = i % chunks;
    long long steps = (given.lengths ? given.lengths[path] : given.n[3]) - 1;
    if (steps < 0) steps = 0;
    const long long first = steps * chunk / chunks, last = steps * (chunk + 1) / chunks;
    long long *const found = (long long *)given.to;
    found[i] = logsig_begin(given, path, given.n[2]) + first * given.n[1];
    found[given.items + i] = last - first + 1;
}

/* The same of window `window` of a path: n = windows of a path, first point of the first, points between two, size,
 * dimension, stride. */
LOGSIG_DEVICE void logsig_window(const logsig_paths_given &given, long long i, long long path, long long window)
{
    const long long from = given.n[1] + window * given.n[2];
    long long *const found = (long long *)given.to;
    found[i] = logsig_begin(given, path, given.n[5]) + from * given.n[4];
    if (!given.lengths) return;
    const long long left = given.lengths[path] - from;
    if (left <= 0) found[i] = 0;
    found[given.items + i] = left <= 0 ? 0 : left < given.n[3] ? left : given.n[3];
}

/* Number i of the rows of chosen windows: n = size, windows of a path that are chosen, all of them, the first, the
 * distance to the next, the distance of rows of x. */
LOGSIG_DEVICE logsig_real logsig_gathered(const logsig_paths_given &given, long long i)
{
    const long long row = i / given.n[0], path = row / given.n[1], window = given.n[3] + row % given.n[1] * given.n[4];
    return given.x[(path * given.n[2] + window) * given.n[5] + i % given.n[0]];
}

/* A number of the displacements of steps, zero beyond the end of a path: n = dimension, steps, stride. */
LOGSIG_DEVICE logsig_real logsig_step(const logsig_paths_given &given, long long i)
{
    const long long dimension = given.n[0], step = i / dimension % given.n[1], path = i / dimension / given.n[1];
    if (given.lengths && step + 1 >= given.lengths[path]) return 0;
    const logsig_real *const point = given.x + logsig_begin(given, path, given.n[2]) + step * dimension + i % dimension;
    return point[dimension] - point[0];
}

/* The derivative with respect to a number of a point from those of the steps in x: n = dimension, length, stride. */
LOGSIG_DEVICE void logsig_point(const logsig_paths_given &given, long long i)
{
    const long long dimension = given.n[0], length = given.n[1], point = i / dimension % length;
    const long long path = i / dimension / length, points = given.lengths ? given.lengths[path] : length;
    if (point >= points) return;
    const logsig_real *const steps = given.x + path * (length - 1) * dimension + i % dimension;
    logsig_real sum = point ? steps[(point - 1) * dimension] : (logsig_real)0;
    if (point + 1 < points) sum -= steps[point * dimension];
    ((logsig_real *)given.to)[logsig_begin(given, path, given.n[2]) + point * dimension + i % dimension] = sum;
}

/* A number of a point of stretches, those of the first stretches of all paths first, zero beyond the end of a path: n =
 * stretches of a path, first point of the first, points between two, points of each, dimension, stride. */
LOGSIG_DEVICE logsig_real logsig_copied_point(const logsig_paths_given &given, long long i)
{
    const long long dimension = given.n[4], row = i / dimension / given.n[3];
    const long long paths = given.items / (given.n[0] * given.n[3] * dimension), path = row % paths;
    const long long point = given.n[1] + row / paths * given.n[2] + i / dimension % given.n[3];
    if (given.lengths && point >= given.lengths[path]) return 0;
    return given.x[logsig_begin(given, path, given.n[5]) + point * dimension + i % dimension];
}

/* Adds derivatives by points of stretches, in x as logsig_copied_point lays them out, to number i of those by all points,
 * (paths, length, dimension): n = stretches of a path, first point of the first, points between two, points of each,
 * dimension, length. */
LOGSIG_DEVICE void logsig_add_stretches(const logsig_paths_given &given, long long i)
{
    const long long dimension = given.n[4], length = given.n[5], apart = given.n[2], points = given.n[3];
    const long long paths = given.items / (length * dimension), path = i / dimension / length;
    const long long point = i / dimension % length, within = point - given.n[1];
    if (within < 0 || point >= (given.lengths ? given.lengths[path] : length)) return;
    long long first = within < points ? 0 : (within - points) / apart + 1, last = within / apart;
    if (last >= given.n[0]) last = given.n[0] - 1;
    logsig_real sum = 0;
#pragma unroll 1
    for (; first <= last; first++)
        sum += given.x[((first * paths + path) * points + within - first * apart) * dimension + i % dimension];
    ((logsig_real *)given.to)[logsig_begin(given, path, length * dimension) + point * dimension + i % dimension] += sum;
}

/* The derivative by a number of a point from those by displacements of units, x of segments of starts, y of ends, (units,
 * paths, steps of a segment, dimension): n = dimension, length, window, step, windows of a unit, windows of a path. */
LOGSIG_DEVICE void logsig_add_segments(const logsig_paths_given &given, long long i)
{
    const long long dimension = given.n[0], length = given.n[1], step = given.n[3], windows = given.n[4];
    const long long paths = given.items / (length * dimension), path = i / dimension / length;
    const long long point = i / dimension % length, points = given.lengths ? given.lengths[path] : length;
    const long long steps = windows * step, units = (given.n[5] - 1) / windows + 1;
    if (point >= points) return;
    logsig_real sum = 0;
    for (int after = 0; after < 2; after++) { /* the step that ends at the point, less the one that begins there */
        const long long start = point - 1 + after, end = start - (given.n[2] - 1), unit = end / steps;
        logsig_real one = 0;
        if (start < 0 || start + 1 >= points) continue;
        if (start / steps < units)
            one = given.x[((start / steps * paths + path) * steps + start % steps) * dimension + i % dimension];
        if (end >= 0 && unit < units) {
            const long long left = given.n[5] - unit * windows, last = (left < windows ? left : windows) - 1;
            if (end % steps < last * step)
                one += given.y[((unit * paths + path) * steps + end % steps) * dimension + i % dimension];
        }
        sum = after ? sum - one : one;
    }
    ((logsig_real *)given.to)[logsig_begin(given, path, length * dimension) + point * dimension + i % dimension] = sum;
}

LOGSIG_DEVICE void logsig_arrange(long long task, const logsig_paths_given &given, long long i)
{
    logsig_real *const to = (logsig_real *)given.to;
    switch (task) {
    case LOGSIG_ZERO: to[i] = 0; break;
    case LOGSIG_CUT: logsig_cut(given, i); break;
    case LOGSIG_WINDOWS: logsig_window(given, i, i / given.n[0], i % given.n[0]); break;
    case LOGSIG_GATHER: to[i] = logsig_gathered(given, i); break;
    case LOGSIG_ADD: to[i] += given.x[i]; break;
    case LOGSIG_ADD_FIRSTS: /* of a chunk that is one point it is zero, and the place another chunk's as well */
        if (given.lengths[i / given.n[0]] > 1) to[given.starts[i / given.n[0]] + i % given.n[0]] += given.x[i];
        break;
    case LOGSIG_STEPS: to[i] = logsig_step(given, i); break;
    case LOGSIG_SUM: /* n = size, distance of rows of x; y without gaps, or null */
        to[i] = given.x[i / given.n[0] * given.n[1] + i % given.n[0]] + (given.y ? given.y[i] : (logsig_real)0);
        break;
    case LOGSIG_POINTS: logsig_point(given, i); break;
    case LOGSIG_STRETCHES: { /* the first windows of all paths, then the second ones, ... */
        const long long paths = given.items / given.n[0];
        logsig_window(given, i, i % paths, i / paths);
        break;
    }
    case LOGSIG_COPY_POINTS: to[i] = logsig_copied_point(given, i); break;
    case LOGSIG_ADD_STRETCHES: logsig_add_stretches(given, i); break;
    case LOGSIG_ADD_SEGMENTS: logsig_add_segments(given, i); break;
    case LOGSIG_OVERLAY: /* n = numbers of x, numbers before those of y */
        to[i] = i < given.n[0] ? given.x[i] : (logsig_real)0;
        if (i >= given.n[1]) to[i] += given.y[i - given.n[1]];
        break;
    }
}

#endif
