/* What a call along paths is asked for: log-signatures of paths, of their windows or intervals, streams, and their gradients.
 *
 * A generated library takes it by logsig_<problem>_paths_<type>(&call), and by logsig_<problem>_paths_backprop_<type>(&call)
 * for the gradients. Members that are not set stay zero; all numbers are of the function's type. Strides are counted in
 * numbers. Both return 0, EINVAL for a call that logsig_path_call_error() objects to, ENOSYS where a function or a map is
 * missing, or ENOMEM; then the results are not all written.
 */
#ifndef LOGSIG_PATH_CALL_H
#define LOGSIG_PATH_CALL_H

#include <stddef.h>

/* A sparse matrix in compressed rows: y[r] is the sum of coefficients[e] * x[indices[e]] for starts[r] <= e < starts[r+1]. */
typedef struct {
    ptrdiff_t rows, columns;
    const ptrdiff_t *starts, *indices;
    const double *coefficients;
} logsig_map;

/* Functions of one problem and number type, those of log_sig for one state; what a call does not need may be null. With
 * those of windows, combine and combine_backprop, windows that overlap much are computed from what they have in common. */
typedef struct {
    void (*log_sig)(void);
    void (*log_sig_backprop)(void);
    void (*stream)(void);
    void (*stream_backprop)(void);
    void (*combine)(void);
    void (*combine_backprop)(void);
    void (*windows)(void);
    void (*windows_backprop)(void);
} logsig_path_functions;

enum { LOGSIG_DEFAULT_STATE, LOGSIG_LOG_DERIVATIVE, LOGSIG_SIGNATURE };

typedef struct {
    size_t struct_size; /* sizeof(logsig_path_call) */
    int n_jobs;         /* threads, at least 1; no bit of a result depends on it */
    int state;          /* one of the above: what a path is carried in; not used with functions */
    int stream;         /* whether all expanding log-signatures are wanted: max(length - 1, 0) rows for each path */
    int method;         /* coordinates of the result: 0 all words, 1 Lyndon words, 2 or 3 Lyndon brackets */

    /* Paths: path b begins at path + b * path_stride or, with starts, at path + starts[b]; its points follow one another. */
    const void *path;
    ptrdiff_t path_stride, batch, length;
    const ptrdiff_t *lengths; /* null, or points of each path, at most length */
    const ptrdiff_t *starts;  /* null, or the first number of each path */

    /* With window > 0: a row for each window of so many points, step points apart, that fits into length points. */
    ptrdiff_t window, step;

    /* With intervals: a row for each of intervals_per_path pairs (first point, last point), both included, in any order;
     * those of path b begin at intervals + b * intervals_stride (0: the same for all paths). One with last = first - 1 is
     * empty. Points beyond those that lengths counts are not read. With combine (and, for gradients, combine_backprop) long
     * ones are products of blocks of the path, which they share; see logsig_blocks.h. */
    const ptrdiff_t *intervals;
    ptrdiff_t intervals_stride, intervals_per_path;

    /* Log-signatures (Lyndon brackets) of what came before, initial_rows of them, or null. With a stream, path b comes after
     * row initial_of[b]; else row r of the result is path path_of[r] after row initial_of[r]. Null: path_of[r] is r, and
     * initial_of[r] is 0 if there is one row, else r. rows: rows of the result, with path_of; else there are batch. */
    const void *initial;
    ptrdiff_t initial_stride, initial_rows, rows;
    const ptrdiff_t *path_of, *initial_of;

    const logsig_path_functions *functions; /* null: those of the library */
    const logsig_map *map; /* for method 0 and 1, from Lyndon brackets to the method; for gradients its transpose. Null: the
                              library's */

    /* The result: rows out_stride apart, for a stream one after the other for each path, whose blocks are out_stride apart. */
    void *out;
    ptrdiff_t out_stride;

    /* For gradients: derivatives by the result, laid out like it; the result, if it is known and in Lyndon brackets (it is
     * not read with initial unless stream); derivatives by the points, at d_path + b * d_path_stride or d_path + starts[b],
     * zero for points that do not count (with starts, only points that count are written); by initial, a row for each. */
    const void *d_out, *result;
    ptrdiff_t d_out_stride, result_stride;
    void *d_path;
    ptrdiff_t d_path_stride;
    void *d_initial;
    ptrdiff_t d_initial_stride;
} logsig_path_call;

/* Windows of a path. */
static inline ptrdiff_t logsig_window_count(ptrdiff_t length, ptrdiff_t window, ptrdiff_t step)
{
    return length < window ? 0 : (length - window) / step + 1;
}

/* Whether windows cost less from what they have in common than one by one, where a window then costs as much as `each` steps
 * of a whole path for each of the `step` steps between windows, and `once` steps besides. */
static inline int logsig_overlap_pays(ptrdiff_t window, ptrdiff_t step, ptrdiff_t each, ptrdiff_t once)
{
    const ptrdiff_t left = window - 1 - once;
    return left > 0 && step <= (left - 1) / each; /* each * step < left, which may be too large a number */
}

/* A unit: consecutive windows, whose starts lie in one segment of a path and their ends in another; see logsig_sliding.h. */
typedef struct {
    ptrdiff_t windows, steps; /* of a unit; steps of its segment */
    ptrdiff_t between, rest;  /* what all have in common: segments, a power of two or none, and steps */
    int levels;               /* of products of segments, with the segments themselves */
} logsig_unit_shape;

/* Units of at most so many windows, where they have anything in common; of as few segments between as can be. */
static inline logsig_unit_shape logsig_unit_of(ptrdiff_t window, ptrdiff_t step, ptrdiff_t most)
{
    const ptrdiff_t starts = (window - 1) / step;
    logsig_unit_shape shape = {starts, 0, 0, 0, 0};
    for (ptrdiff_t between = 1; shape.windows > most; between *= 2) {
        shape.between = between;
        shape.windows = starts / (between + 1);
        shape.levels++;
    }
    shape.steps = shape.windows * step;
    shape.rest = window - 1 - (shape.between + 1) * shape.steps;
    return shape;
}

static inline int logsig_within(const ptrdiff_t *numbers, ptrdiff_t count, ptrdiff_t least, ptrdiff_t most)
{
    for (ptrdiff_t k = 0; numbers && k < count; k++)
        if (numbers[k] < least || numbers[k] > most) return 0;
    return 1;
}

/* Whether an interval of a path begins or ends beyond it, or ends before it begins. */
static inline int logsig_intervals_wrong(const logsig_path_call *call)
{
    for (ptrdiff_t b = 0; b < (call->intervals_stride ? call->batch : 1); b++)
        for (ptrdiff_t k = 0; k < call->intervals_per_path; k++) {
            const ptrdiff_t *const pair = call->intervals + b * call->intervals_stride + 2 * k;
            if (pair[0] < 0 || pair[1] >= call->length || pair[1] < pair[0] - 1) return 1;
        }
    return 0;
}

/* What is wrong with a call, or null. */
static inline const char *logsig_path_call_error(const logsig_path_call *call, int backward)
{
    const ptrdiff_t rows = call->path_of ? call->rows : call->batch;
    if (call->struct_size != sizeof *call) return "struct_size: expected sizeof(logsig_path_call)";
    if (call->n_jobs < 1) return "n_jobs: expected at least 1";
    if (call->state < 0 || call->state > LOGSIG_SIGNATURE) return "state: expected 0, 1 or 2";
    if (call->method < 0 || call->method > 3) return "method: expected 0, 1, 2 or 3";
    if (call->batch < 0 || call->length < 0) return "batch, length: expected numbers from 0 up";
    if (call->window < 0 || (call->window && call->step < 1)) return "window, step: expected numbers from 1 up";
    if (call->window && call->stream) return "window: expected 0 with stream";
    if (call->window && call->initial) return "initial: expected null with windows";
    if (call->intervals && (call->stream || call->window || call->initial))
        return "intervals: expected null with stream, windows or initial";
    if (call->intervals_per_path < 0 || (call->intervals && logsig_intervals_wrong(call)))
        return "intervals: expected pairs of points, 0 <= first <= last + 1 <= length";
    if (!logsig_within(call->lengths, call->batch, 0, call->length)) return "lengths: expected values from 0 to length";
    if (!call->path && call->batch && call->length) return "path: expected an address";
    if (call->path_of && (call->stream || !call->initial)) return "path_of: expected null without initial, or with stream";
    if (call->initial) {
        const ptrdiff_t all = call->stream ? call->batch : rows;
        if (rows < 0 || call->initial_rows < 0) return "rows, initial_rows: expected numbers from 0 up";
        if (!logsig_within(call->path_of, rows, 0, call->batch - 1)) return "path_of: expected numbers below batch";
        if (!logsig_within(call->initial_of, all, 0, call->initial_rows - 1))
            return "initial_of: expected numbers below initial_rows";
        if (!call->initial_of && call->initial_rows != 1 && call->initial_rows != all)
            return "initial_rows: expected 1, or one for each row of the result";
    }
    const ptrdiff_t each = call->intervals ? call->intervals_per_path
                           : call->window ? logsig_window_count(call->length, call->window, call->step)
                           : call->stream ? call->length - (call->length > 0)
                                          : 1;
    if (!backward) return call->out || !rows || !each ? NULL : "out: expected an address";
    if (!call->d_out && rows && each) return "d_out: expected an address";
    if (!call->d_path && call->batch && call->length) return "d_path: expected an address";
    if (!call->d_initial && call->initial && call->initial_rows) return "d_initial: expected an address";
    return NULL;
}

#endif
