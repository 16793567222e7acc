/* Calls along paths on a GPU: which kernels a logsig_path_call is made of, and what they are started with.
 *
 * Long paths are cut into chunks, whose log-signatures are multiplied two by two: a few paths fill the device, and errors
 * do not grow along a path. The number of chunks depends on the length alone. Windows that overlap much are products of
 * what they have in common, forth and back. In gradients of others, windows that share points are taken in turns, since
 * the gradient of a window writes all of its points. Streams without a kernel are joins, one per step.
 *
 * Nothing waits for the device, nothing is allocated: the caller hands over a workspace on the device. All numbers of
 * indices are read on the device, by the kernel `arrange`.
 */
#ifndef LOGSIG_GPU_PATHS_H
#define LOGSIG_GPU_PATHS_H

#include "logsig_launcher.h"
#include "logsig_path_call.h"

/* -- declarations ------------------------------------------------------------------------------------------------- */
/* The kernels of a call, by number; logsig_gpu_operation(k) is the name of one, null beyond the last. */
enum {
    LOGSIG_AT_LOG_SIG,
    LOGSIG_AT_LOG_SIG_BACKPROP,
    LOGSIG_AT_BY_SIGNATURE,
    LOGSIG_AT_STREAM,
    LOGSIG_AT_STREAM_BACKPROP,
    LOGSIG_AT_COMBINE,
    LOGSIG_AT_COMBINE_BACKPROP,
    LOGSIG_AT_JOIN,
    LOGSIG_AT_JOIN_BACKPROP,
    LOGSIG_AT_WINDOWS,
    LOGSIG_AT_WINDOWS_BACKPROP,
    LOGSIG_AT_ARRANGE,
    LOGSIG_AT_END
};

/* A problem on one device, in one number type. known[k]: whether kernels[k] was looked for; null: there is none. */
typedef struct {
    int dimension, degree, size, real_bytes;
    int known[12];
    const logsig_kernel *kernels[12];
} logsig_gpu_problem;

/* What else a call needs to say than logsig_path_call. */
typedef struct {
    ptrdiff_t extent;  /* numbers of the arrays `path` and `d_path`, which are laid out alike */
    ptrdiff_t room;    /* numbers of chunks' log-signatures that are kept at a time, about; 0: as many as is good */
    void *workspace;   /* on the device; null: only `bytes` is computed */
    size_t bytes;      /* of the workspace */
    void *stream;
    int wanted;        /* the kernel to look for where LOGSIG_WANTS_KERNEL is returned */
} logsig_gpu_run;

LOGSIG_HOST const char *logsig_gpu_operation(int k);
/* Carry a call out. method has to be 2 or 3, and `initial` is for streams only, with a row for each path (initial_stride 0:
 * the same for all), as has d_initial. d_path is zeroed first. Returns LOGSIG_WANTS_KERNEL if it has to be called again
 * when problem->kernels[run->wanted] is known. */
LOGSIG_HOST int logsig_gpu_paths(const logsig_gpu_problem *problem, const logsig_path_call *call, int backward,
                                 logsig_gpu_run *run);
/* -- end of the declarations -------------------------------------------------------------------------------------- */

enum { LOGSIG_WHOLE_STEPS = 192, LOGSIG_MOST_CHUNKS = 64, LOGSIG_MOST_OF_A_SIGNATURE = 1000, LOGSIG_ROOM = 1 << 26 };
/* Windows of a unit, at most: a thread takes a unit, and a device wants many threads. */
enum { LOGSIG_UNIT_WINDOWS = 16 };

/* What `arrange` does; see logsig_arrange.cuh. */
enum {
    LOGSIG_ZERO, LOGSIG_CUT, LOGSIG_WINDOWS, LOGSIG_GATHER, LOGSIG_ADD, LOGSIG_ADD_FIRSTS, LOGSIG_STEPS, LOGSIG_SUM,
    LOGSIG_POINTS, LOGSIG_STRETCHES, LOGSIG_COPY_POINTS, LOGSIG_ADD_STRETCHES, LOGSIG_ADD_SEGMENTS, LOGSIG_OVERLAY
};

LOGSIG_HOST const char *logsig_gpu_operation(int k)
{
    static const char *const names[] = {
        "log_sig", "log_sig_backprop", "log_sig_by_signature", "stream", "stream_backprop", "combine",
        "combine_backprop", "join", "join_backprop", "windows", "windows_backprop", "arrange",
    };
    return k >= 0 && k < LOGSIG_AT_END ? names[k] : NULL;
}

/* A call that is being carried out, or, without a workspace, measured. */
typedef struct {
    const logsig_gpu_problem *problem;
    const logsig_path_call *call;
    logsig_gpu_run *run;
    size_t used; /* bytes of the workspace */
    int running;
} logsig_doing;

/* Paths, or parts of them, as kernels take them. */
typedef struct {
    int64_t stride, length, count, lengths, starts; /* lengths, starts: addresses or 0 */
} logsig_gpu_rows;

static inline int64_t logsig_address(const void *place)
{
    return (int64_t)(intptr_t)place;
}

/* Memory of the workspace, at an address; it is given back by setting `used` to what it was before. */
static inline int64_t logsig_take(logsig_doing *doing, int64_t count, int64_t bytes)
{
    const int64_t place = logsig_address(doing->run->workspace) + (int64_t)doing->used;
    doing->used += ((size_t)(count * bytes) + 255) / 256 * 256;
    if (!doing->running && doing->used > doing->run->bytes) doing->run->bytes = doing->used;
    return place;
}

static inline int64_t logsig_take_rows(logsig_doing *doing, int64_t count, int64_t width)
{
    return logsig_take(doing, count * width, doing->problem->real_bytes);
}

/* -- launches ----------------------------------------------------------------------------------------------------- */

/* Whether a kernel is there; it may have to be looked for first. */
static inline int logsig_look(logsig_doing *doing, int which, int *there)
{
    if (!doing->problem->known[which]) {
        doing->run->wanted = which;
        return LOGSIG_WANTS_KERNEL;
    }
    *there = doing->problem->kernels[which] != NULL;
    return LOGSIG_OK;
}

static inline int logsig_go(logsig_doing *doing, int which, int64_t batch, const int64_t *arguments, int count)
{
    int there = 0;
    LOGSIG_TRY(logsig_look(doing, which, &there));
    if (!there) {
        return LOGSIG_FAIL(LOGSIG_NO_KERNEL, "%s: there is no kernel for a GPU for (dimension=%d, degree=%d): it is too "
                           "large", logsig_gpu_operation(which), doing->problem->dimension, doing->problem->degree);
    }
    if (!doing->running) return LOGSIG_OK;
    return logsig_gpu_launch(doing->problem->kernels[which], batch, arguments, count, doing->run->stream);
}

#define LOGSIG_GO(doing, which, batch, ...)                                                                            \
    do {                                                                                                               \
        const int64_t logsig_given[] = {__VA_ARGS__};                                                                  \
        LOGSIG_TRY(logsig_go(doing, which, batch, logsig_given, (int)(sizeof logsig_given / sizeof *logsig_given)));   \
    } while (0)

/* One of the tasks of `arrange`, for `count` items. */
static inline int logsig_arrange(logsig_doing *doing, int task, int64_t count, int64_t to, int64_t x, int64_t y,
                                 int64_t lengths, int64_t starts, int64_t n0, int64_t n1, int64_t n2, int64_t n3,
                                 int64_t n4, int64_t n5)
{
    LOGSIG_GO(doing, LOGSIG_AT_ARRANGE, count, task, to, x, y, lengths, starts, n0, n1, n2, n3, n4, n5);
    return LOGSIG_OK;
}

static inline int logsig_zero(logsig_doing *doing, int64_t to, int64_t count)
{
    return logsig_arrange(doing, LOGSIG_ZERO, count, to, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

/* The kernel that carries the state asked for, or, where that takes more than a thread has, the other one. */
static inline int logsig_carrier(logsig_doing *doing, int *which)
{
    int there = 0;
    if (doing->call->state == LOGSIG_SIGNATURE && doing->problem->size <= LOGSIG_MOST_OF_A_SIGNATURE) {
        LOGSIG_TRY(logsig_look(doing, LOGSIG_AT_BY_SIGNATURE, &there));
    }
    *which = there ? LOGSIG_AT_BY_SIGNATURE : LOGSIG_AT_LOG_SIG;
    return LOGSIG_OK;
}

static inline int logsig_whole(logsig_doing *doing, logsig_gpu_rows paths, int64_t out, int64_t out_stride)
{
    int which;
    LOGSIG_TRY(logsig_carrier(doing, &which));
    LOGSIG_GO(doing, which, paths.count, logsig_address(doing->call->path), paths.stride, paths.length, paths.lengths,
              paths.starts, out, out_stride);
    return LOGSIG_OK;
}

static inline int logsig_whole_back(logsig_doing *doing, logsig_gpu_rows paths, int64_t d_out, int64_t d_out_stride,
                                    int64_t result, int64_t result_stride, int64_t d_path, int64_t d_stride,
                                    int64_t d_first)
{
    LOGSIG_GO(doing, LOGSIG_AT_LOG_SIG_BACKPROP, paths.count, d_out, d_out_stride, result, result_stride,
              logsig_address(doing->call->path), paths.stride, paths.length, paths.lengths, paths.starts, d_path, d_stride,
              d_first);
    return LOGSIG_OK;
}

/* -- chunks ------------------------------------------------------------------------------------------------------- */

static inline int64_t logsig_chunk_count(int64_t length)
{
    int64_t chunks = 1;
    while (chunks < LOGSIG_MOST_CHUNKS && length - 1 >= chunks * LOGSIG_WHOLE_STEPS) chunks *= 2;
    return chunks;
}

/* Paths first to first + count - 1, each cut into chunks; neighbours share a point, and chunks of short paths may be a
 * point. */
static inline int logsig_cut(logsig_doing *doing, logsig_gpu_rows paths, int64_t chunks, int64_t first, int64_t count,
                             logsig_gpu_rows *cut)
{
    cut->count = count * chunks;
    cut->length = (paths.length - 1 + chunks - 1) / chunks + 1;
    cut->stride = 0;
    cut->starts = logsig_take(doing, 2 * cut->count, 8);
    cut->lengths = cut->starts + 8 * cut->count;
    return logsig_arrange(doing, LOGSIG_CUT, cut->count, cut->starts, 0, 0, paths.lengths, paths.starts, chunks,
                          doing->problem->dimension, paths.stride, paths.length, first, 0);
}

/* Multiply log-signatures two by two until there is one for each path; levels[k] is where those of chunks / 2^k are.
 * Without `out` the last product is left out. */
static inline int logsig_multiply(logsig_doing *doing, int64_t count, int64_t chunks, int64_t *levels, int64_t out,
                                  int64_t out_stride)
{
    const int64_t size = doing->problem->size, row = size * doing->problem->real_bytes;
    for (int level = 0; chunks > (out ? 1 : 2); level++) {
        chunks /= 2;
        const int last = chunks == 1;
        levels[level + 1] = last ? out : logsig_take_rows(doing, count * chunks, size);
        LOGSIG_GO(doing, LOGSIG_AT_COMBINE, count * chunks, levels[level], 2 * size, levels[level] + row, 2 * size,
                  levels[level + 1], last ? out_stride : size);
    }
    return LOGSIG_OK;
}

/* How many paths at a time, where each takes so many numbers. */
static inline int64_t logsig_portion(const logsig_doing *doing, int64_t numbers)
{
    const int64_t room = doing->run->room ? doing->run->room : (int64_t)LOGSIG_ROOM;
    return room / numbers > 1 ? room / numbers : 1;
}

static inline int logsig_walk(logsig_doing *doing, logsig_gpu_rows paths, int64_t out, int64_t out_stride)
{
    const int64_t chunks = logsig_chunk_count(paths.length), size = doing->problem->size;
    if (chunks == 1) return logsig_whole(doing, paths, out, out_stride);
    const int64_t step = logsig_portion(doing, 2 * chunks * size);
    const size_t before = doing->used;
    for (int64_t first = 0; first < paths.count; first += step, doing->used = before) {
        const int64_t count = paths.count - first < step ? paths.count - first : step;
        int64_t levels[8];
        logsig_gpu_rows cut;
        LOGSIG_TRY(logsig_cut(doing, paths, chunks, first, count, &cut));
        levels[0] = logsig_take_rows(doing, cut.count, size);
        LOGSIG_TRY(logsig_whole(doing, cut, levels[0], size));
        LOGSIG_TRY(logsig_multiply(doing, count, chunks, levels,
                                   out + first * out_stride * doing->problem->real_bytes, out_stride));
    }
    return LOGSIG_OK;
}

/* Gradients with respect to the points of paths first to first + count - 1. */
static inline int logsig_chunks_back(logsig_doing *doing, logsig_gpu_rows paths, int64_t chunks, int64_t first,
                                     int64_t count, int64_t d_out, int64_t d_out_stride, int64_t d_path)
{
    const int64_t size = doing->problem->size, row = size * doing->problem->real_bytes;
    const int64_t dimension = doing->problem->dimension;
    int64_t levels[8];
    logsig_gpu_rows cut;
    int top = 0;
    while ((chunks >> top) > 2) top++;
    LOGSIG_TRY(logsig_cut(doing, paths, chunks, first, count, &cut));
    levels[0] = logsig_take_rows(doing, cut.count, size);
    LOGSIG_TRY(logsig_whole(doing, cut, levels[0], size));
    LOGSIG_TRY(logsig_multiply(doing, count, chunks, levels, 0, 0));
    for (int level = top; level >= 0; level--) {
        const int64_t pairs = count * (chunks >> level) / 2, d_rows = logsig_take_rows(doing, 2 * pairs, size);
        LOGSIG_GO(doing, LOGSIG_AT_COMBINE_BACKPROP, pairs, d_out, d_out_stride, levels[level], 2 * size,
                  levels[level] + row, 2 * size, d_rows, 2 * size, d_rows + row, 2 * size);
        d_out = d_rows;
        d_out_stride = size;
    }
    const int64_t d_first = logsig_take_rows(doing, cut.count, dimension);
    LOGSIG_TRY(logsig_zero(doing, d_first, cut.count * dimension));
    LOGSIG_TRY(logsig_whole_back(doing, cut, d_out, size, levels[0], size, d_path, 0, d_first));
    /* The last point of a chunk is the first of the next one. */
    return logsig_arrange(doing, LOGSIG_ADD_FIRSTS, cut.count * dimension, d_path, d_first, 0, cut.lengths, cut.starts,
                          dimension, 0, 0, 0, 0, 0);
}

/* Gradients with respect to the points, into d_path, which is zero; result may be 0. */
static inline int logsig_walk_back(logsig_doing *doing, logsig_gpu_rows paths, int64_t d_out, int64_t d_out_stride,
                                   int64_t result, int64_t result_stride, int64_t d_path)
{
    const int64_t chunks = logsig_chunk_count(paths.length), size = doing->problem->size;
    const size_t before = doing->used;
    if (chunks == 1) {
        if (!result) {
            result = logsig_take_rows(doing, paths.count, result_stride = size);
            LOGSIG_TRY(logsig_whole(doing, paths, result, size));
        }
        LOGSIG_TRY(logsig_whole_back(doing, paths, d_out, d_out_stride, result, result_stride, d_path,
                                     paths.length * doing->problem->dimension, 0));
    } else {
        const int64_t step = logsig_portion(doing, 4 * chunks * size);
        for (int64_t first = 0; first < paths.count; first += step, doing->used = before) {
            const int64_t count = paths.count - first < step ? paths.count - first : step;
            const int64_t d_some = d_out + first * d_out_stride * doing->problem->real_bytes;
            LOGSIG_TRY(logsig_chunks_back(doing, paths, chunks, first, count, d_some, d_out_stride, d_path));
        }
    }
    doing->used = before;
    return LOGSIG_OK;
}

/* -- windows ------------------------------------------------------------------------------------------------------ */

/* Parts of paths, `each` of every path, of `points` points, from the point `from` on, `apart` points from each other, as
 * paths; task: whether those of a path follow one another (LOGSIG_WINDOWS), or the first parts of all paths come first. */
static inline int logsig_parts(logsig_doing *doing, int task, logsig_gpu_rows paths, int64_t each, int64_t from,
                               int64_t apart, int64_t points, logsig_gpu_rows *parts)
{
    parts->count = paths.count * each;
    parts->length = points;
    parts->stride = 0;
    parts->starts = logsig_take(doing, 2 * parts->count, 8);
    parts->lengths = paths.lengths ? parts->starts + 8 * parts->count : 0;
    return logsig_arrange(doing, task, parts->count, parts->starts, 0, 0, paths.lengths, paths.starts, each, from, apart,
                          points, doing->problem->dimension, paths.stride);
}

/* Windows turn, turn + turns, ... of every path, as paths. */
static inline int logsig_windows(logsig_doing *doing, logsig_gpu_rows paths, int64_t turn, int64_t turns,
                                 logsig_gpu_rows *chosen)
{
    const logsig_path_call *const call = doing->call;
    const int64_t per_path = logsig_window_count(call->length, call->window, call->step);
    const int64_t each = turn < per_path ? (per_path - turn + turns - 1) / turns : 0;
    return logsig_parts(doing, LOGSIG_WINDOWS, paths, each, turn * call->step, turns * call->step, call->window, chosen);
}

/* The rows of the windows of a turn, one after the other. */
static inline int logsig_rows_of_turn(logsig_doing *doing, int64_t rows, int64_t stride, int64_t count, int64_t each,
                                      int64_t per_path, int64_t turn, int64_t turns, int64_t *found)
{
    const int64_t size = doing->problem->size;
    *found = 0;
    if (!rows) return LOGSIG_OK;
    *found = logsig_take_rows(doing, count, size);
    return logsig_arrange(doing, LOGSIG_GATHER, count * size, *found, rows, 0, 0, 0, size, each, per_path, turn, turns,
                          stride);
}

static inline int logsig_windows_back(logsig_doing *doing, logsig_gpu_rows paths)
{
    const logsig_path_call *const call = doing->call;
    const int64_t per_path = logsig_window_count(call->length, call->window, call->step);
    const int64_t most = (call->window + call->step - 1) / call->step, turns = most < per_path ? most : per_path;
    const int64_t d_path = logsig_address(call->d_path);
    const int64_t apart = turns > 1 ? logsig_take_rows(doing, doing->run->extent, 1) : 0;
    const size_t before = doing->used;
    for (int64_t turn = 0; turn < turns; turn++, doing->used = before) {
        const int64_t target = turn ? apart : d_path;
        int64_t d_out, result;
        logsig_gpu_rows chosen;
        LOGSIG_TRY(logsig_windows(doing, paths, turn, turns, &chosen));
        const int64_t each = paths.count ? chosen.count / paths.count : 0;
        LOGSIG_TRY(logsig_rows_of_turn(doing, logsig_address(call->d_out), call->d_out_stride, chosen.count, each,
                                       per_path, turn, turns, &d_out));
        LOGSIG_TRY(logsig_rows_of_turn(doing, logsig_address(call->result), call->result_stride, chosen.count, each,
                                       per_path, turn, turns, &result));
        if (turn) LOGSIG_TRY(logsig_zero(doing, apart, doing->run->extent));
        LOGSIG_TRY(logsig_walk_back(doing, chosen, d_out, doing->problem->size, result, doing->problem->size, target));
        if (turn) {
            LOGSIG_TRY(logsig_arrange(doing, LOGSIG_ADD, doing->run->extent, d_path, apart, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        }
    }
    return LOGSIG_OK;
}

/* -- windows that overlap ----------------------------------------------------------------------------------------- */

/* What a window costs by what it has in common with others, in steps of a whole path, by degree; the numbers are those of
 * sliding_costs in logsig_codegen/operations.py. up_to: steps between windows, at most; more are not done this way here. */
static inline void logsig_sliding_costs(int degree, ptrdiff_t *up_to, ptrdiff_t *each, ptrdiff_t *once)
{
    *up_to = degree <= 5 ? 10 : 5;
    *each = degree + 1;
    *once = degree + 2;
}

/* Whether the windows of a call are computed by the kernel `which` from what they have in common: that follows from their
 * size and step. */
static inline int logsig_slides(logsig_doing *doing, int which, int *slides)
{
    const logsig_path_call *const call = doing->call;
    ptrdiff_t up_to, each, once;
    logsig_sliding_costs(doing->problem->degree, &up_to, &each, &once);
    *slides = 0;
    if (call->step > up_to || !logsig_overlap_pays(call->window, call->step, each, once)) return LOGSIG_OK;
    return logsig_look(doing, which, slides);
}

/* Units of paths, and what all windows of a unit have in common. */
typedef struct {
    logsig_unit_shape shape;
    int64_t per_path, units, segments, paths; /* of a path: windows, units, segments; how many paths */
    int64_t levels[64], rest, middle; /* rows, those of the first units of all paths first: products of 1, 2, 4, ...
                                         segments, steps beyond, and both together; 0: there are none */
} logsig_gpu_units;

static inline logsig_gpu_units logsig_units_of(const logsig_path_call *call, logsig_gpu_rows paths)
{
    const logsig_unit_shape shape = logsig_unit_of(call->window, call->step, LOGSIG_UNIT_WINDOWS);
    logsig_gpu_units units = {shape, 0, 0, 0, paths.count, {0}, 0, 0};
    units.per_path = logsig_window_count(call->length, call->window, call->step);
    units.units = units.per_path ? (units.per_path - 1) / shape.windows + 1 : 0;
    units.segments = units.units + shape.between - 1;
    return units;
}

/* Middles of units. keep: levels stay, each for itself, for gradients. */
static inline int logsig_middles(logsig_doing *doing, logsig_gpu_rows paths, logsig_gpu_units *all, int keep)
{
    const logsig_unit_shape *const shape = &all->shape;
    const int64_t size = doing->problem->size, row = size * doing->problem->real_bytes, count = all->units * paths.count;
    logsig_gpu_rows parts;
    if (shape->levels) {
        int64_t segments = all->segments, next = 0;
        LOGSIG_TRY(logsig_parts(doing, LOGSIG_STRETCHES, paths, segments, shape->steps, shape->steps, shape->steps + 1,
                                &parts));
        all->middle = all->levels[0] = logsig_take_rows(doing, parts.count, size);
        if (shape->between > 1 && !keep) next = logsig_take_rows(doing, parts.count, size);
        LOGSIG_TRY(logsig_walk(doing, parts, all->middle, size));
        for (int64_t apart = 1, level = 1; apart < shape->between; apart *= 2, level++) { /* products of 2, 4, ... */
            const int64_t products = keep ? logsig_take_rows(doing, (segments - apart) * paths.count, size) : next;
            segments -= apart;
            LOGSIG_GO(doing, LOGSIG_AT_COMBINE, segments * paths.count, all->middle, size,
                      all->middle + apart * paths.count * row, size, products, size);
            next = all->middle;
            all->middle = all->levels[level] = products;
        }
    }
    if (shape->rest) {
        LOGSIG_TRY(logsig_parts(doing, LOGSIG_STRETCHES, paths, all->units, (shape->between + 1) * shape->steps,
                                shape->steps, shape->rest + 1, &parts));
        const int64_t segments = all->middle;
        all->middle = all->rest = logsig_take_rows(doing, count, size);
        LOGSIG_TRY(logsig_walk(doing, parts, all->rest, size));
        if (segments) {
            all->middle = logsig_take_rows(doing, count, size);
            LOGSIG_GO(doing, LOGSIG_AT_COMBINE, count, segments, size, all->rest, size, all->middle, size);
        }
    }
    return LOGSIG_OK;
}

/* How many tiles of units at a time: each takes a row for every window in the workspace. */
static inline int64_t logsig_tiles_at_once(const logsig_doing *doing, const logsig_gpu_units *all)
{
    const int64_t tile = LOGSIG_WARP_THREADS, tiles = (all->units * all->paths + tile - 1) / tile;
    const int64_t portion = logsig_portion(doing, tile * all->shape.windows * doing->problem->size);
    return portion < tiles ? portion : tiles;
}

/* All windows of all paths, a unit per thread, some units at a time. */
static inline int logsig_slide(logsig_doing *doing, logsig_gpu_rows paths)
{
    const logsig_path_call *const call = doing->call;
    logsig_gpu_units units = logsig_units_of(call, paths);
    const int64_t all = units.units * paths.count, some = LOGSIG_WARP_THREADS * logsig_tiles_at_once(doing, &units);
    if (!all) return LOGSIG_OK;
    LOGSIG_TRY(logsig_middles(doing, paths, &units, 0));
    const int64_t suffixes = logsig_take_rows(doing, some * units.shape.windows, doing->problem->size);
    for (int64_t first = 0; first < all; first += some) {
        const int64_t count = all - first < some ? all - first : some;
        LOGSIG_GO(doing, LOGSIG_AT_WINDOWS, count, logsig_address(call->path), paths.stride, paths.length, paths.lengths,
                  paths.starts, logsig_address(call->out), call->out_stride, units.middle, suffixes, call->window,
                  call->step, units.shape.windows, units.per_path, paths.count, first);
    }
    return LOGSIG_OK;
}

/* Adds derivatives by the points of stretches, from those by their log-signatures: logsig_parts has the arguments. Each
 * stretch is differentiated in a copy of its points, since they may have some in common. */
static inline int logsig_stretches_back(logsig_doing *doing, logsig_gpu_rows paths, int64_t each, int64_t from,
                                        int64_t apart, int64_t points, int64_t rows, int64_t d_rows)
{
    const int64_t dimension = doing->problem->dimension, size = doing->problem->size;
    const logsig_path_call *const call = doing->call;
    const size_t before = doing->used;
    logsig_path_call of_copy = *call;
    logsig_gpu_rows parts;
    LOGSIG_TRY(logsig_parts(doing, LOGSIG_STRETCHES, paths, each, from, apart, points, &parts));
    const int64_t numbers = parts.count * points * dimension;
    const int64_t copy = logsig_take_rows(doing, numbers, 1), d_copy = logsig_take_rows(doing, numbers, 1);
    LOGSIG_TRY(logsig_arrange(doing, LOGSIG_COPY_POINTS, numbers, copy, logsig_address(call->path), 0, paths.lengths,
                              paths.starts, each, from, apart, points, dimension, paths.stride));
    LOGSIG_TRY(logsig_zero(doing, d_copy, numbers));
    of_copy.path = (const void *)(intptr_t)copy;
    logsig_doing copied = *doing;
    copied.call = &of_copy;
    parts.stride = points * dimension;
    parts.starts = 0;
    LOGSIG_TRY(logsig_walk_back(&copied, parts, d_rows, size, rows, size, d_copy));
    doing->used = before;
    return logsig_arrange(doing, LOGSIG_ADD_STRETCHES, paths.count * paths.length * dimension,
                          logsig_address(call->d_path), d_copy, 0, paths.lengths, paths.starts, each, from, apart, points,
                          dimension, paths.length);
}

/* From derivatives by middles to derivatives by points, which are added. */
static inline int logsig_middles_back(logsig_doing *doing, logsig_gpu_rows paths, const logsig_gpu_units *all,
                                      int64_t d_middle)
{
    const logsig_unit_shape *const shape = &all->shape;
    const int64_t size = doing->problem->size, row = size * doing->problem->real_bytes, count = all->units * paths.count;
    int64_t units = all->units, d_rest = d_middle, d_rows = d_middle;
    if (all->rest && shape->levels) {
        d_rows = logsig_take_rows(doing, count, size);
        d_rest = logsig_take_rows(doing, count, size);
        LOGSIG_GO(doing, LOGSIG_AT_COMBINE_BACKPROP, count, d_middle, size, all->levels[shape->levels - 1], size, all->rest,
                  size, d_rows, size, d_rest, size);
    }
    if (all->rest) {
        LOGSIG_TRY(logsig_stretches_back(doing, paths, units, (shape->between + 1) * shape->steps, shape->steps,
                                         shape->rest + 1, all->rest, d_rest));
    }
    if (!shape->levels) return LOGSIG_OK;
    const int64_t room = shape->levels > 1 ? all->segments * paths.count : 0, sums = logsig_take_rows(doing, room, size);
    const int64_t left = logsig_take_rows(doing, room, size), right = logsig_take_rows(doing, room, size);
    for (int level = shape->levels - 2; level >= 0; level--, d_rows = sums) {
        const int64_t apart = ((int64_t)1 << level) * paths.count, products = units * paths.count;
        LOGSIG_GO(doing, LOGSIG_AT_COMBINE_BACKPROP, products, d_rows, size, all->levels[level], size,
                  all->levels[level] + apart * row, size, left, size, right, size);
        LOGSIG_TRY(logsig_arrange(doing, LOGSIG_OVERLAY, (products + apart) * size, sums, left, right, 0, 0,
                                  products * size, apart * size, 0, 0, 0, 0));
        units += (int64_t)1 << level;
    }
    return logsig_stretches_back(doing, paths, all->segments, shape->steps, shape->steps, shape->steps + 1, all->levels[0],
                                 d_rows);
}

/* Gradients of all windows of all paths: of what a unit takes beside its middle, then of middles. */
static inline int logsig_slide_back(logsig_doing *doing, logsig_gpu_rows paths)
{
    const logsig_path_call *const call = doing->call;
    const int64_t size = doing->problem->size, dimension = doing->problem->dimension;
    logsig_gpu_units units = logsig_units_of(call, paths);
    const int64_t all = units.units * paths.count, some = LOGSIG_WARP_THREADS * logsig_tiles_at_once(doing, &units);
    if (!all) return LOGSIG_OK;
    LOGSIG_TRY(logsig_middles(doing, paths, &units, 1));
    const int64_t d_middle = units.middle ? logsig_take_rows(doing, all, size) : 0;
    const size_t before = doing->used;
    const int64_t d_starts = logsig_take_rows(doing, all * units.shape.steps, dimension);
    const int64_t d_ends = logsig_take_rows(doing, all * units.shape.steps, dimension);
    const int64_t d_prefixes = logsig_take_rows(doing, some * units.shape.windows, size);
    for (int64_t first = 0; first < all; first += some) {
        const int64_t count = all - first < some ? all - first : some;
        LOGSIG_GO(doing, LOGSIG_AT_WINDOWS_BACKPROP, count, logsig_address(call->d_out), call->d_out_stride,
                  logsig_address(call->path), paths.stride, paths.length, paths.lengths, paths.starts, units.middle,
                  d_middle, d_prefixes, d_starts, d_ends, call->window, call->step, units.shape.windows, units.per_path,
                  paths.count, first);
    }
    LOGSIG_TRY(logsig_arrange(doing, LOGSIG_ADD_SEGMENTS, paths.count * paths.length * dimension,
                              logsig_address(call->d_path), d_starts, d_ends, paths.lengths, paths.starts, dimension,
                              paths.length, call->window, call->step, units.shape.windows, units.per_path));
    doing->used = before;
    return units.middle ? logsig_middles_back(doing, paths, &units, d_middle) : LOGSIG_OK;
}

/* -- streams ------------------------------------------------------------------------------------------------------ */

static inline int64_t logsig_steps(const logsig_path_call *call)
{
    return call->length > 0 ? call->length - 1 : 0;
}

/* Displacements, (count, steps, dimension), zero beyond the end of a path; and what came before the first step. */
static inline int logsig_displacements(logsig_doing *doing, logsig_gpu_rows paths, int64_t *displacements,
                                       int64_t *before, int64_t *before_stride)
{
    const logsig_path_call *const call = doing->call;
    const int64_t dimension = doing->problem->dimension, size = doing->problem->size, steps = logsig_steps(call);
    *displacements = logsig_take_rows(doing, paths.count * steps, dimension);
    *before = logsig_address(call->initial);
    *before_stride = call->initial_stride;
    if (!call->initial) {
        *before = logsig_take_rows(doing, 1, size);
        *before_stride = 0;
        LOGSIG_TRY(logsig_zero(doing, *before, size));
    }
    return logsig_arrange(doing, LOGSIG_STEPS, paths.count * steps * dimension, *displacements,
                          logsig_address(call->path), 0, paths.lengths, paths.starts, dimension, steps, paths.stride, 0,
                          0, 0);
}

static inline int logsig_joins(logsig_doing *doing, logsig_gpu_rows paths, int64_t out)
{
    const logsig_path_call *const call = doing->call;
    const int64_t bytes = doing->problem->real_bytes, dimension = doing->problem->dimension;
    const int64_t size = doing->problem->size, steps = logsig_steps(call);
    int64_t displacements, last, last_stride;
    LOGSIG_TRY(logsig_displacements(doing, paths, &displacements, &last, &last_stride));
    for (int64_t t = 0; t < steps; t++) {
        const int64_t next = out + t * size * bytes;
        LOGSIG_GO(doing, LOGSIG_AT_JOIN, paths.count, last, last_stride, displacements + t * dimension * bytes,
                  steps * dimension, next, call->out_stride);
        last = next;
        last_stride = call->out_stride;
    }
    return LOGSIG_OK;
}

static inline int logsig_joins_back(logsig_doing *doing, logsig_gpu_rows paths, int64_t rows, int64_t rows_stride)
{
    const logsig_path_call *const call = doing->call;
    const int64_t bytes = doing->problem->real_bytes, dimension = doing->problem->dimension;
    const int64_t size = doing->problem->size, steps = logsig_steps(call), numbers = paths.count * size;
    int64_t displacements, before, before_stride, d_last = 0;
    LOGSIG_TRY(logsig_displacements(doing, paths, &displacements, &before, &before_stride));
    const int64_t d_steps = logsig_take_rows(doing, paths.count * steps, dimension);
    const int64_t d_row = logsig_take_rows(doing, paths.count, size), d_next = logsig_take_rows(doing, paths.count, size);
    for (int64_t t = steps; t-- > 0; d_last = d_next) {
        const int last = t == 0 && call->d_initial;
        LOGSIG_TRY(logsig_arrange(doing, LOGSIG_SUM, numbers, d_row, logsig_address(call->d_out) + t * size * bytes,
                                  d_last, 0, 0, size, call->d_out_stride, 0, 0, 0, 0));
        LOGSIG_GO(doing, LOGSIG_AT_JOIN_BACKPROP, paths.count, d_row, size,
                  t ? rows + (t - 1) * size * bytes : before, t ? rows_stride : before_stride,
                  displacements + t * dimension * bytes, steps * dimension,
                  last ? logsig_address(call->d_initial) : d_next, last ? call->d_initial_stride : size,
                  d_steps + t * dimension * bytes, steps * dimension);
    }
    return logsig_arrange(doing, LOGSIG_POINTS, paths.count * call->length * dimension, logsig_address(call->d_path),
                          d_steps, 0, paths.lengths, paths.starts, dimension, call->length, call->d_path_stride, 0, 0, 0);
}

static inline int logsig_stream(logsig_doing *doing, logsig_gpu_rows paths, int64_t out, int64_t out_stride)
{
    const logsig_path_call *const call = doing->call;
    int there = 0;
    LOGSIG_TRY(logsig_look(doing, LOGSIG_AT_STREAM, &there));
    if (!there) return logsig_joins(doing, paths, out);
    LOGSIG_GO(doing, LOGSIG_AT_STREAM, paths.count, logsig_address(call->path), paths.stride, paths.length,
              paths.lengths, paths.starts, logsig_address(call->initial), call->initial_stride, out, out_stride);
    return LOGSIG_OK;
}

static inline int logsig_stream_back(logsig_doing *doing, logsig_gpu_rows paths)
{
    const logsig_path_call *const call = doing->call;
    const int64_t between = logsig_steps(call) * doing->problem->size;
    int64_t rows = logsig_address(call->result), rows_stride = call->result_stride;
    int there = 0;
    if (!rows) {
        logsig_path_call forward = *call;
        logsig_doing doing_it = *doing;
        rows = logsig_take_rows(doing, paths.count, rows_stride = between);
        forward.out_stride = between;
        doing_it.call = &forward;
        doing_it.used = doing->used;
        LOGSIG_TRY(logsig_stream(&doing_it, paths, rows, between));
    }
    LOGSIG_TRY(logsig_look(doing, LOGSIG_AT_STREAM_BACKPROP, &there));
    if (!there) return logsig_joins_back(doing, paths, rows, rows_stride);
    LOGSIG_GO(doing, LOGSIG_AT_STREAM_BACKPROP, paths.count, logsig_address(call->d_out), call->d_out_stride, rows,
              rows_stride, logsig_address(call->path), paths.stride, paths.length, paths.lengths, paths.starts,
              logsig_address(call->initial), call->initial_stride, logsig_address(call->d_path), call->d_path_stride,
              logsig_address(call->d_initial), call->d_initial_stride);
    return LOGSIG_OK;
}

/* -- calls -------------------------------------------------------------------------------------------------------- */

static inline int logsig_do(logsig_doing *doing, int backward)
{
    const logsig_path_call *const call = doing->call;
    const logsig_gpu_rows paths = {call->path_stride, call->length, call->batch, logsig_address(call->lengths),
                                   logsig_address(call->starts)};
    logsig_gpu_rows rows = paths;
    if (backward) {
        LOGSIG_TRY(logsig_zero(doing, logsig_address(call->d_path), doing->run->extent));
        if (call->stream && call->d_initial && !logsig_steps(call)) {
            LOGSIG_TRY(logsig_zero(doing, logsig_address(call->d_initial), call->batch * doing->problem->size));
        }
    }
    if (!paths.count || (call->stream && !logsig_steps(call))) return LOGSIG_OK;
    if (call->stream) {
        return backward ? logsig_stream_back(doing, paths)
                        : logsig_stream(doing, paths, logsig_address(call->out), call->out_stride);
    }
    if (backward && call->window) {
        int slides;
        LOGSIG_TRY(logsig_slides(doing, LOGSIG_AT_WINDOWS_BACKPROP, &slides));
        return slides ? logsig_slide_back(doing, paths) : logsig_windows_back(doing, paths);
    }
    if (backward) {
        return logsig_walk_back(doing, paths, logsig_address(call->d_out), call->d_out_stride,
                                logsig_address(call->result), call->result_stride, logsig_address(call->d_path));
    }
    if (call->window) {
        int slides;
        LOGSIG_TRY(logsig_slides(doing, LOGSIG_AT_WINDOWS, &slides));
        if (slides) return logsig_slide(doing, paths);
        LOGSIG_TRY(logsig_windows(doing, paths, 0, 1, &rows));
    }
    if (!rows.count) return LOGSIG_OK;
    return logsig_walk(doing, rows, logsig_address(call->out), call->out_stride);
}

LOGSIG_HOST int logsig_gpu_paths(const logsig_gpu_problem *problem, const logsig_path_call *call, int backward,
                                 logsig_gpu_run *run)
{
    logsig_doing doing = {problem, call, run, 0, run->workspace != NULL};
    if (!doing.running) run->bytes = 256; /* an address is needed even where nothing is stored */
    return logsig_do(&doing, backward);
}

#endif
