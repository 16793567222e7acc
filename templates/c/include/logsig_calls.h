/* Calls along paths: what is asked for in a logsig_path_call becomes calls of kernels, a number of rows at a time.
 *
 * Rows of the result are paths or their windows (items). Scratch memory holds about LOGSIG_CALL_ROOM numbers, whatever the
 * batch and the number of windows; which rows share a piece of work changes no bit of a result. Every sum has an order of
 * its own: those of windows that share a point go from the first window to the last, those of rows that share an operand
 * likewise, in double precision, and those of a map as numpy's add.reduceat forms them.
 */
#ifndef LOGSIG_CALLS_H
#define LOGSIG_CALLS_H

#include <string.h>

/* Lanes take a tenth of a second to compile, and a conversion is short beside a path: they are for streams. */
#ifndef LOGSIG_MAPS_IN_LANES
#define LOGSIG_MAPS_IN_LANES 0
#endif
#include "logsig_map_rows.h"
#include "logsig_path_call.h"
#include "logsig_paths.h"

#ifndef LOGSIG_CALL_ROOM
#define LOGSIG_CALL_ROOM (1 << 19)
#endif
/* Steps of a block of the paths that long intervals are made of: five to eight times what a product costs in steps of a
 * path, so that an interval that has its blocks for itself does not take much longer for being cut into them. */
#ifndef LOGSIG_BLOCK_STEPS
#define LOGSIG_BLOCK_STEPS(degree) (16 * (degree))
#endif

typedef int (*logsig_log_sig_backprop_fn)(const logsig_real *d_out, ptrdiff_t d_out_stride, const logsig_real *log_sig,
                                          ptrdiff_t log_sig_stride, const logsig_real *path, ptrdiff_t path_stride,
                                          ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts,
                                          const void *products, logsig_real *d_path, ptrdiff_t d_path_stride,
                                          ptrdiff_t batch, int n_jobs);
typedef int (*logsig_stream_fn)(const logsig_real *path, ptrdiff_t path_stride, ptrdiff_t length,
                                const ptrdiff_t *lengths, const ptrdiff_t *starts, const logsig_real *initial,
                                ptrdiff_t initial_stride, logsig_real *out, ptrdiff_t out_stride, ptrdiff_t batch,
                                int n_jobs);
typedef int (*logsig_stream_backprop_fn)(const logsig_real *d_out, ptrdiff_t d_out_stride, const logsig_real *stream,
                                         ptrdiff_t stream_stride, const logsig_real *path, ptrdiff_t path_stride,
                                         ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts,
                                         const logsig_real *initial, ptrdiff_t initial_stride, logsig_real *d_path,
                                         ptrdiff_t d_path_stride, logsig_real *d_initial, ptrdiff_t d_initial_stride,
                                         ptrdiff_t batch, int n_jobs);

/* What functions of windows return where it is cheaper to take windows one by one. */
#define LOGSIG_ONE_BY_ONE (-1)

/* A call, and what follows from it. */
typedef struct {
    const logsig_path_call *call;
    logsig_path_functions functions;
    const logsig_map *map; /* null: rows stay in Lyndon brackets */
    int dimension, size;
    ptrdiff_t width; /* numbers of a row of the result */
    ptrdiff_t rows;  /* of the result; for a stream, blocks of rows */
    ptrdiff_t steps; /* rows of a block of a stream */
    ptrdiff_t items, per_path; /* paths, windows or intervals: all of them, those of one path */
    ptrdiff_t block; /* steps of a block of long intervals; 0: all are walked from end to end */
} logsig_request;

typedef int (*logsig_windows_fn)(const void *request);

/* Rows of an array. */
typedef struct {
    const logsig_real *data;
    ptrdiff_t stride;
} logsig_row_array;

/* Paths, or windows as paths, as kernels take them. */
typedef struct {
    const logsig_real *data;
    ptrdiff_t stride, length, count;
    const ptrdiff_t *lengths, *starts;
} logsig_some_paths;

/* ---- pieces of work -------------------------------------------------------------------------------------------- */

/* How many of `count` rows are worked on at a time where each takes so many of the numbers that there is room for. */
LOGSIG_INLINE ptrdiff_t logsig_that_fit(ptrdiff_t room, ptrdiff_t numbers, ptrdiff_t least, ptrdiff_t count)
{
    ptrdiff_t rows = numbers ? room / numbers : count;
    if (rows < least) rows = least;
    return rows < count ? rows : count;
}

/* The same for scratch memory. */
LOGSIG_INLINE ptrdiff_t logsig_at_a_time(ptrdiff_t numbers, ptrdiff_t least, ptrdiff_t count)
{
    return logsig_that_fit(LOGSIG_CALL_ROOM, numbers, least, count);
}

LOGSIG_INLINE void logsig_add_numbers(logsig_real *to, const logsig_real *x, ptrdiff_t count)
{
    ptrdiff_t i = 0;
    for (; i + LOGSIG_LANES <= count; i += LOGSIG_LANES)
        logsig_store(to + i, LOGSIG_ADD(logsig_load(to + i), logsig_load(x + i)));
    for (; i < count; i++) to[i] += x[i];
}

LOGSIG_INLINE ptrdiff_t logsig_start(const logsig_path_call *call, ptrdiff_t path)
{
    return call->starts ? call->starts[path] : path * call->path_stride;
}

/* Where the derivatives of a path begin. */
LOGSIG_INLINE ptrdiff_t logsig_d_start(const logsig_path_call *call, ptrdiff_t path)
{
    return call->starts ? call->starts[path] : path * call->d_path_stride;
}

/* Items first ... first + count - 1; numbers: room for two per window. */
LOGSIG_NOINLINE logsig_some_paths logsig_some(const logsig_request *request, ptrdiff_t first, ptrdiff_t count,
                                              ptrdiff_t *numbers)
{
    const logsig_path_call *const call = request->call;
    logsig_some_paths some = {call->path, 0, call->window, count, NULL, numbers};
    if (!call->window) {
        some.stride = call->path_stride;
        some.length = call->length;
        if (call->lengths) some.lengths = call->lengths + first;
        some.starts = call->starts ? call->starts + first : NULL;
        if (!call->starts) some.data += first * call->path_stride;
        return some;
    }
    if (call->lengths) some.lengths = numbers + count;
    for (ptrdiff_t k = 0; k < count; k++) {
        const ptrdiff_t path = (first + k) / request->per_path;
        const ptrdiff_t from = (first + k) % request->per_path * call->step;
        const ptrdiff_t left = call->lengths ? call->lengths[path] - from : call->window;
        numbers[k] = left > 0 ? logsig_start(call, path) + from * request->dimension : 0;
        numbers[count + k] = left < 0 ? 0 : left < call->window ? left : call->window;
    }
    return some;
}

/* Rows first ... first + count - 1 of an operand that several rows of a result may share: row of[r], or, where of is
 * null, the only row or row r. room: where rows are copied to. */
LOGSIG_NOINLINE logsig_row_array logsig_pick(logsig_row_array rows, int one, const ptrdiff_t *of, ptrdiff_t first,
                                             ptrdiff_t count, int size, logsig_real *room)
{
    if (!of) {
        const logsig_row_array picked = {rows.data + (one ? 0 : first * rows.stride), one ? 0 : rows.stride};
        return picked;
    }
    for (ptrdiff_t k = 0; k < count; k++)
        memcpy(room + k * size, rows.data + of[first + k] * rows.stride, (size_t)size * sizeof(logsig_real));
    const logsig_row_array picked = {room, size};
    return picked;
}

/* The reverse for derivatives: adds rows to the sums of those they are of. */
LOGSIG_NOINLINE void logsig_add_rows(double *sums, const ptrdiff_t *of, ptrdiff_t first, ptrdiff_t count, int size,
                                     const logsig_real *rows)
{
    for (ptrdiff_t k = 0; k < count; k++) {
        double *const sum = sums + (of ? of[first + k] : 0) * size;
        for (int i = 0; i < size; i++) sum[i] += rows[k * size + i];
    }
}

LOGSIG_NOINLINE void logsig_round_rows(const double *sums, ptrdiff_t rows, int size, logsig_real *to, ptrdiff_t stride)
{
    for (ptrdiff_t k = 0; k < rows; k++)
        for (int i = 0; i < size; i++) to[k * stride + i] = (logsig_real)sums[k * size + i];
}

/* ---- coordinates ----------------------------------------------------------------------------------------------- */

/* Rows through the map of the call; the job says where they are. */
LOGSIG_NOINLINE int logsig_convert(const logsig_request *request, logsig_map_rows job, ptrdiff_t blocks)
{
    job.maps = request->map;
    job.n_maps = 1;
    job.single = LOGSIG_REAL_BITS == 32;
    job.columns = request->map->columns;
    job.width = request->map->rows;
    return logsig_run_maps(&job, blocks, request->call->n_jobs);
}

/* Derivatives by rows of the result, from the first-th on, as derivatives by Lyndon brackets; room: for converted ones. */
LOGSIG_NOINLINE int logsig_in_brackets(const logsig_request *request, logsig_row_array given, ptrdiff_t first,
                                       ptrdiff_t count, logsig_real *room, logsig_row_array *found)
{
    const ptrdiff_t inner = request->call->stream ? request->steps : 1;
    found->data = given.data + first * given.stride;
    found->stride = given.stride;
    if (!request->map) return 0;
    const logsig_map_rows job = {.from = found->data, .to = room, .inner = inner, .from_block = given.stride,
                                 .to_block = inner * request->size, .from_row = request->width, .to_row = request->size};
    found->data = room;
    found->stride = inner * request->size;
    return logsig_convert(request, job, count);
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

LOGSIG_NOINLINE int logsig_walk_some(const logsig_request *request, const logsig_some_paths *some, logsig_real *out,
                                     ptrdiff_t out_stride)
{
    const logsig_products products = {NULL, request->functions.combine, NULL};
    return ((logsig_log_sig_fn)request->functions.log_sig)(some->data, some->stride, some->length, some->lengths,
                                                           some->starts, &products, out, out_stride, some->count,
                                                           request->call->n_jobs);
}

/* Log-signatures of all items, without what came before. */
LOGSIG_NOINLINE int logsig_forward_along(const logsig_request *request)
{
    const logsig_path_call *const call = request->call;
    const int whole = !call->window && !request->map;
    const ptrdiff_t chunk =
        logsig_at_a_time(whole ? 0 : request->width, 8 * LOGSIG_LANES * (ptrdiff_t)call->n_jobs, request->items);
    ptrdiff_t *const numbers = call->window ? malloc((size_t)(2 * chunk + 1) * sizeof(ptrdiff_t)) : NULL;
    int error = call->window && !numbers ? ENOMEM : 0;
    for (ptrdiff_t first = 0; !error && first < request->items; first += chunk) {
        const ptrdiff_t count = request->items - first < chunk ? request->items - first : chunk;
        const logsig_some_paths some = logsig_some(request, first, count, numbers);
        logsig_real *const out = (logsig_real *)call->out + first * call->out_stride;
        error = logsig_walk_some(request, &some, out, call->out_stride);
        if (!error && request->map) {
            const logsig_map_rows job = {.from = out, .to = out, .inner = 1, .from_block = call->out_stride,
                                         .to_block = call->out_stride};
            error = logsig_convert(request, job, count);
        }
    }
    free(numbers);
    return error;
}

/* Log-signatures of paths after what came before them. */
LOGSIG_NOINLINE int logsig_forward_after(const logsig_request *request)
{
    const logsig_path_call *const call = request->call;
    const int size = request->size, one = call->initial_rows == 1;
    const ptrdiff_t chunk = logsig_at_a_time(size, 8 * LOGSIG_LANES * (ptrdiff_t)call->n_jobs, request->rows);
    const logsig_some_paths paths = logsig_some(request, 0, call->batch, NULL);
    logsig_real *const along = logsig_numbers(call->batch * size), *const room = logsig_numbers(2 * chunk * size);
    int error = along && room ? 0 : ENOMEM;
    if (!error && request->rows) error = logsig_walk_some(request, &paths, along, size);
    for (ptrdiff_t first = 0; !error && first < request->rows; first += chunk) {
        const ptrdiff_t count = request->rows - first < chunk ? request->rows - first : chunk;
        const logsig_row_array initial = {call->initial, call->initial_stride}, rows = {along, size};
        const logsig_row_array left = logsig_pick(initial, one, call->initial_of, first, count, size, room);
        const logsig_row_array right = logsig_pick(rows, 0, call->path_of, first, count, size, room + chunk * size);
        logsig_real *const out = (logsig_real *)call->out + first * call->out_stride;
        error = ((logsig_combine_fn)request->functions.combine)(left.data, left.stride, right.data, right.stride, out,
                                                                call->out_stride, count, call->n_jobs);
        if (!error && request->map) {
            const logsig_map_rows job = {.from = out, .to = out, .inner = 1, .from_block = call->out_stride,
                                         .to_block = call->out_stride};
            error = logsig_convert(request, job, count);
        }
    }
    logsig_free_numbers(room);
    logsig_free_numbers(along);
    return error;
}

/* Rows in Lyndon brackets are put at the end of a path's block, so that wider ones fit into it from the beginning on. */
LOGSIG_NOINLINE int logsig_forward_stream(const logsig_request *request)
{
    const logsig_path_call *const call = request->call;
    const int size = request->size;
    if (!request->steps || !call->batch) return 0;
    logsig_real *const room = call->initial_of ? logsig_numbers(call->batch * size) : NULL;
    logsig_real *const rows = (logsig_real *)call->out + request->steps * (request->width - size);
    logsig_row_array initial = {call->initial, call->initial_stride};
    int error = call->initial_of && !room ? ENOMEM : 0;
    if (!error && call->initial)
        initial = logsig_pick(initial, call->initial_rows == 1, call->initial_of, 0, call->batch, size, room);
    if (!error)
        error = ((logsig_stream_fn)request->functions.stream)(call->path, call->path_stride, call->length, call->lengths,
                                                              call->starts, initial.data, initial.stride, rows,
                                                              call->out_stride, call->batch, call->n_jobs);
    if (!error && request->map) {
        const logsig_map_rows job = {.from = rows, .to = call->out, .inner = request->steps, .from_block = call->out_stride,
                                     .to_block = call->out_stride, .from_row = size, .to_row = request->width};
        error = logsig_convert(request, job, call->batch);
    }
    logsig_free_numbers(room);
    return error;
}

/* ---- backward -------------------------------------------------------------------------------------------------- */

/* The derivatives by points that no kernel writes: those that do not count, with `all` all of them. */
LOGSIG_NOINLINE void logsig_clear_points(const logsig_request *request, int all)
{
    const logsig_path_call *const call = request->call;
    for (ptrdiff_t b = 0; b < call->batch; b++) {
        const ptrdiff_t counted = call->lengths ? call->lengths[b] : call->length;
        const ptrdiff_t first = all ? 0 : counted, end = call->starts ? counted : call->length;
        logsig_real *const to =
            (logsig_real *)call->d_path + (call->starts ? call->starts[b] : b * call->d_path_stride);
        if (first < end)
            memset(to + first * request->dimension, 0,
                   (size_t)((end - first) * request->dimension) * sizeof(logsig_real));
    }
}

/* Those that no window has, where windows have no point in common and all paths are of one length. */
LOGSIG_NOINLINE void logsig_clear_between(const logsig_request *request)
{
    const logsig_path_call *const call = request->call;
    for (ptrdiff_t k = 0; k < request->items; k++) {
        const ptrdiff_t number = k % request->per_path, first = number * call->step + call->window;
        const ptrdiff_t end = number + 1 < request->per_path ? (number + 1) * call->step : call->length;
        logsig_real *const to = (logsig_real *)call->d_path + logsig_d_start(call, k / request->per_path);
        if (first < end)
            memset(to + first * request->dimension, 0,
                   (size_t)((end - first) * request->dimension) * sizeof(logsig_real));
    }
}

/* The points of windows, copied, so that each has derivatives of its own, which are then added to those of the path. */
typedef struct {
    const logsig_request *request;
    logsig_some_paths some;
    logsig_real *points, *d_points;
    ptrdiff_t first; /* number of the first window */
} logsig_windows;

LOGSIG_INLINE ptrdiff_t logsig_window_numbers(const logsig_windows *windows, ptrdiff_t k)
{
    const ptrdiff_t points = windows->some.lengths ? windows->some.lengths[k] : windows->some.length;
    return points * windows->request->dimension;
}

LOGSIG_NOINLINE void logsig_copy_windows(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_windows *const windows = given;
    const ptrdiff_t stride = windows->some.length * windows->request->dimension;
    (void)frame;
    for (; row < end; row++)
        memcpy(windows->points + row * stride, windows->some.data + windows->some.starts[row],
               (size_t)logsig_window_numbers(windows, row) * sizeof(logsig_real));
}

/* Adds the derivatives of the windows of paths row ... end - 1, counted from the path of the first window. */
LOGSIG_NOINLINE void logsig_add_windows(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_windows *const windows = given;
    const logsig_request *const request = windows->request;
    const logsig_path_call *const call = request->call;
    const ptrdiff_t stride = windows->some.length * request->dimension, path = windows->first / request->per_path;
    (void)frame;
    for (; row < end; row++) {
        const ptrdiff_t b = path + row;
        const ptrdiff_t from = b * request->per_path - windows->first, beyond = from + request->per_path;
        logsig_real *const d_path = (logsig_real *)call->d_path + logsig_d_start(call, b);
        for (ptrdiff_t k = from < 0 ? 0 : from; k < beyond && k < windows->some.count; k++) {
            const ptrdiff_t numbers = logsig_window_numbers(windows, k);
            logsig_add_numbers(d_path + (k - from) * call->step * request->dimension, windows->d_points + k * stride,
                               numbers);
        }
    }
}

LOGSIG_NOINLINE int logsig_walk_back_some(const logsig_request *request, const logsig_some_paths *some,
                                          logsig_row_array d_out, logsig_row_array result, logsig_real *d_path,
                                          ptrdiff_t d_path_stride)
{
    const logsig_path_functions *const functions = &request->functions;
    const logsig_products products = {functions->log_sig, functions->combine, functions->combine_backprop};
    return ((logsig_log_sig_backprop_fn)functions->log_sig_backprop)(
        d_out.data, d_out.stride, result.data, result.stride, some->data, some->stride, some->length, some->lengths,
        some->starts, &products, d_path, d_path_stride, some->count, request->call->n_jobs);
}

LOGSIG_NOINLINE int logsig_windows_back(const logsig_request *request, const logsig_some_paths *some, ptrdiff_t first,
                                        logsig_row_array d_out, logsig_row_array result, logsig_real *room)
{
    const ptrdiff_t stride = some->length * request->dimension, last = first + some->count - 1;
    const ptrdiff_t paths = last / request->per_path - first / request->per_path + 1;
    const logsig_windows windows = {request, *some, room, room + some->count * stride, first};
    const logsig_some_paths copies = {room, stride, some->length, some->count, some->lengths, NULL};
    const int n_jobs = request->call->n_jobs;
    int error = logsig_share(&windows, logsig_copy_windows, 1, some->count, n_jobs);
    if (!error) error = logsig_walk_back_some(request, &copies, d_out, result, windows.d_points, stride);
    return error ? error : logsig_share(&windows, logsig_add_windows, 1, paths, n_jobs);
}

/* Gradients of all items, from derivatives by their rows; result: their log-signatures, if they are known. */
LOGSIG_NOINLINE int logsig_backward_along(const logsig_request *request, logsig_row_array d_out, logsig_row_array result)
{
    const logsig_path_call *const call = request->call;
    /* Windows that have no point in common write their derivatives where they belong, so many at a time that points
     * stay in the cache next to a core from the forward pass to the backward pass. */
    const int apart = call->window && call->step >= call->window &&
                      (call->starts || call->path_stride == call->d_path_stride);
    const ptrdiff_t near = call->n_jobs * (ptrdiff_t)(LOGSIG_NEAR_BYTES / (LOGSIG_REAL_BITS / 8));
    const ptrdiff_t size = request->size, points = apart ? 0 : 2 * call->window * request->dimension;
    const ptrdiff_t converted = request->map ? size : 0, unknown = result.data ? 0 : size;
    const ptrdiff_t lanes = LOGSIG_LANES * (ptrdiff_t)call->n_jobs;
    /* Long windows are cut: a few of them fill the lanes. */
    const ptrdiff_t least = call->window ? 1 + lanes * 2 * LOGSIG_PIECE_STEPS / call->window : 8 * lanes;
    const ptrdiff_t most = logsig_at_a_time(converted + unknown + points, least, request->items);
    const ptrdiff_t chunk = apart ? logsig_that_fit(near, call->window * request->dimension, least, most) : most;
    ptrdiff_t *const numbers = call->window ? malloc((size_t)(2 * chunk + 1) * sizeof(ptrdiff_t)) : NULL;
    logsig_real *const room = logsig_numbers(chunk * (converted + unknown + points));
    int error = room && (numbers || !call->window) ? 0 : ENOMEM;
    if (apart && !call->lengths && request->items)
        logsig_clear_between(request);
    else
        logsig_clear_points(request, call->window > 0);
    for (ptrdiff_t first = 0; !error && first < request->items; first += chunk) {
        const ptrdiff_t count = request->items - first < chunk ? request->items - first : chunk;
        const logsig_some_paths some = logsig_some(request, first, count, numbers);
        logsig_row_array d_rows, rows = {result.data ? result.data + first * result.stride : NULL, result.stride};
        error = logsig_in_brackets(request, d_out, first, count, room, &d_rows);
        if (!error && !result.data) {
            logsig_real *const found = room + chunk * converted;
            error = logsig_walk_some(request, &some, found, size);
            rows.data = found;
            rows.stride = size;
        }
        if (error) break;
        if (call->window && !apart)
            error = logsig_windows_back(request, &some, first, d_rows, rows, room + chunk * (converted + unknown));
        else
            error = logsig_walk_back_some(request, &some, d_rows, rows,
                                          (logsig_real *)call->d_path + (some.starts ? 0 : first * call->d_path_stride),
                                          call->d_path_stride);
    }
    logsig_free_numbers(room);
    free(numbers);
    return error;
}

/* Gradients of paths after what came before them: those of the product, then those of the paths. */
LOGSIG_NOINLINE int logsig_backward_after(const logsig_request *request)
{
    const logsig_path_call *const call = request->call;
    const int size = request->size, shared = call->initial_of || call->initial_rows != request->rows;
    const ptrdiff_t chunk = logsig_at_a_time(5 * size, 8 * LOGSIG_LANES * (ptrdiff_t)call->n_jobs, request->rows);
    const logsig_some_paths paths = logsig_some(request, 0, call->batch, NULL);
    const logsig_row_array initial = {call->initial, call->initial_stride}, d_out = {call->d_out, call->d_out_stride};
    logsig_real *const room = logsig_numbers(5 * chunk * size), *const along = logsig_numbers(2 * call->batch * size);
    logsig_real *const d_along = along + call->batch * size, *const d_initial = call->d_initial;
    double *const sums = shared ? calloc((size_t)(call->initial_rows * size + 1), sizeof(double)) : NULL;
    double *const path_sums = call->path_of ? calloc((size_t)(call->batch * size + 1), sizeof(double)) : NULL;
    int error = room && along && (sums || !shared) && (path_sums || !call->path_of) ? 0 : ENOMEM;
    if (!error) error = logsig_walk_some(request, &paths, along, size);
    for (ptrdiff_t first = 0; !error && first < request->rows; first += chunk) {
        const ptrdiff_t count = request->rows - first < chunk ? request->rows - first : chunk, part = chunk * size;
        const logsig_row_array rows = {along, size};
        const logsig_row_array left =
            logsig_pick(initial, call->initial_rows == 1, call->initial_of, first, count, size, room + part);
        const logsig_row_array right = logsig_pick(rows, 0, call->path_of, first, count, size, room + 2 * part);
        logsig_real *const d_left = shared ? room + 3 * part : d_initial + first * call->d_initial_stride;
        logsig_real *const d_right = path_sums ? room + 4 * part : d_along + first * size;
        logsig_row_array d_rows;
        error = logsig_in_brackets(request, d_out, first, count, room, &d_rows);
        if (!error)
            error = ((logsig_combine_backprop_fn)request->functions.combine_backprop)(
                d_rows.data, d_rows.stride, left.data, left.stride, right.data, right.stride, d_left,
                shared ? size : call->d_initial_stride, d_right, size, count, call->n_jobs);
        if (!error && sums) logsig_add_rows(sums, call->initial_of, first, count, size, d_left);
        if (!error && path_sums) logsig_add_rows(path_sums, call->path_of, first, count, size, d_right);
    }
    if (!error && sums) logsig_round_rows(sums, call->initial_rows, size, d_initial, call->d_initial_stride);
    if (!error && path_sums) logsig_round_rows(path_sums, call->batch, size, d_along, size);
    free(path_sums);
    free(sums);
    logsig_free_numbers(room);
    if (!error) {
        const logsig_row_array d_rows = {d_along, size}, result = {along, size};
        logsig_request rest = *request;
        rest.map = NULL;
        error = logsig_backward_along(&rest, d_rows, result);
    }
    logsig_free_numbers(along);
    return error;
}

/* Gradients of streams, a few paths at a time. */
LOGSIG_NOINLINE int logsig_backward_stream(const logsig_request *request)
{
    const logsig_path_call *const call = request->call;
    const int size = request->size, shared = call->initial && (call->initial_of || call->initial_rows != call->batch);
    const ptrdiff_t block = request->steps * size;
    const ptrdiff_t need = (request->map ? block : 0) + (call->result ? 0 : block) + (shared ? 2 * size : 0);
    const ptrdiff_t chunk = logsig_at_a_time(need, LOGSIG_LANES * (ptrdiff_t)call->n_jobs, call->batch);
    const logsig_row_array initial = {call->initial, call->initial_stride}, d_out = {call->d_out, call->d_out_stride};
    logsig_real *const room = logsig_numbers(chunk * need);
    logsig_real *const found = room + (request->map ? chunk * block : 0);
    logsig_real *const picked = found + (call->result ? 0 : chunk * block), *const d_picked = picked + chunk * size;
    double *const sums = shared ? calloc((size_t)(call->initial_rows * size + 1), sizeof(double)) : NULL;
    int error = room && (sums || !shared) ? 0 : ENOMEM;
    logsig_clear_points(request, !request->steps);
    for (ptrdiff_t first = 0; !error && first < call->batch; first += chunk) {
        const ptrdiff_t count = call->batch - first < chunk ? call->batch - first : chunk;
        const logsig_some_paths some = logsig_some(request, first, count, NULL);
        logsig_real *const d_path =
            (logsig_real *)call->d_path + (call->starts ? 0 : first * call->d_path_stride);
        logsig_real *const d_initial =
            shared ? d_picked : call->initial ? (logsig_real *)call->d_initial + first * call->d_initial_stride : NULL;
        const ptrdiff_t d_stride = shared ? size : call->d_initial_stride;
        logsig_row_array d_rows, rows = {found, block}, before = {NULL, 0};
        if (!request->steps) {
            for (ptrdiff_t k = 0; call->initial && k < count; k++)
                memset(d_initial + k * d_stride, 0, (size_t)size * sizeof(logsig_real));
            continue;
        }
        if (call->initial)
            before = logsig_pick(initial, call->initial_rows == 1, call->initial_of, first, count, size, picked);
        error = logsig_in_brackets(request, d_out, first, count, room, &d_rows);
        if (!error && !call->result)
            error = ((logsig_stream_fn)request->functions.stream)(some.data, some.stride, some.length, some.lengths,
                                                                  some.starts, before.data, before.stride, found, block,
                                                                  count, call->n_jobs);
        if (call->result) {
            rows.data = (const logsig_real *)call->result + first * call->result_stride;
            rows.stride = call->result_stride;
        }
        if (!error)
            error = ((logsig_stream_backprop_fn)request->functions.stream_backprop)(
                d_rows.data, d_rows.stride, rows.data, rows.stride, some.data, some.stride, some.length, some.lengths,
                some.starts, before.data, before.stride, d_path, call->d_path_stride, d_initial, d_stride, count,
                call->n_jobs);
        if (!error && sums) logsig_add_rows(sums, call->initial_of, first, count, size, d_initial);
    }
    if (!error && sums) logsig_round_rows(sums, call->initial_rows, size, call->d_initial, call->d_initial_stride);
    free(sums);
    logsig_free_numbers(room);
    return error;
}

#include "logsig_blocks.h" /* with logsig_intervals.h: made of what is above, and called by what is below */

/* ---- entry points ---------------------------------------------------------------------------------------------- */

/* own: the functions of the library, those of the default state first; maps: to method 0 and to method 1, and their
 * transposes, or null. */
LOGSIG_INLINE int logsig_make_request(const logsig_path_call *call, int dimension, int degree, int size,
                                      const logsig_path_functions *own, const logsig_map *maps, int backward,
                                      logsig_request *made)
{
    if (logsig_path_call_error(call, backward)) return EINVAL;
    made->call = call;
    made->functions = call->functions ? *call->functions : own[call->state];
    made->map = call->map ? call->map : maps ? &maps[2 * backward + call->method % 2] : NULL;
    if (call->method < 2 && !made->map) return ENOSYS;
    if (call->method >= 2) made->map = NULL;
    made->dimension = dimension;
    made->size = size;
    made->width = !made->map ? size : backward ? made->map->columns : made->map->rows;
    made->rows = call->path_of ? call->rows : call->batch;
    made->steps = call->length > 1 ? call->length - 1 : 0;
    made->per_path = call->intervals ? call->intervals_per_path
                     : call->window  ? logsig_window_count(call->length, call->window, call->step)
                                     : 1;
    made->items = call->batch * made->per_path;
    const logsig_path_functions *const has = &made->functions;
    made->block = call->intervals && has->log_sig && has->combine && (!backward || has->combine_backprop)
                      ? LOGSIG_BLOCK_STEPS(degree)
                      : 0;
    return 0;
}

LOGSIG_UNUSED static int logsig_run_call(const logsig_request *request)
{
    const logsig_path_call *const call = request->call;
    const logsig_path_functions *const functions = &request->functions;
    if (call->stream) return functions->stream ? logsig_forward_stream(request) : ENOSYS;
    if (!functions->log_sig || (call->initial && !functions->combine)) return ENOSYS;
    if (call->intervals) {
        const int error = logsig_forward_intervals(request);
        return error ? error : logsig_long_intervals(request, 0);
    }
    if (call->window && functions->windows && functions->combine) {
        const int error = ((logsig_windows_fn)functions->windows)(request);
        if (error != LOGSIG_ONE_BY_ONE) return error;
    }
    return call->initial ? logsig_forward_after(request) : logsig_forward_along(request);
}

LOGSIG_UNUSED static int logsig_run_call_back(const logsig_request *request)
{
    const logsig_path_call *const call = request->call;
    const logsig_path_functions *const functions = &request->functions;
    const logsig_row_array d_out = {call->d_out, call->d_out_stride}, result = {call->result, call->result_stride};
    if (call->stream) {
        const int able = functions->stream_backprop && (functions->stream || call->result);
        return able ? logsig_backward_stream(request) : ENOSYS;
    }
    if (!functions->log_sig_backprop || (!functions->log_sig && (call->initial || !call->result))) return ENOSYS;
    if (call->intervals) {
        const int error = logsig_backward_intervals(request);
        return error ? error : logsig_long_intervals(request, 1);
    }
    if (call->window && functions->windows_backprop && functions->log_sig && functions->combine &&
        functions->combine_backprop) {
        const int error = ((logsig_windows_fn)functions->windows_backprop)(request);
        if (error != LOGSIG_ONE_BY_ONE) return error;
    }
    if (!call->initial) return logsig_backward_along(request, d_out, result);
    return functions->combine && functions->combine_backprop ? logsig_backward_after(request) : ENOSYS;
}

#endif
