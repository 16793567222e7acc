/* Log-signatures of intervals of paths, and their gradients: any first and any last points, overlapping or not.
 *
 * Long intervals are products of blocks (logsig_blocks.h); what follows is about the others.
 * Intervals are taken a number at a time and sorted by their points, so that those that walk side by side are about as long
 * as one another; no bit of a result depends on which are taken together. Backward, the points of each are copied, so that
 * each has derivatives of its own; those of a path are added from its first interval to its last, by one thread.
 */
#ifndef LOGSIG_INTERVALS_H
#define LOGSIG_INTERVALS_H

#include "logsig_calls.h"

typedef struct {
    ptrdiff_t points, item;
} logsig_ranked;

/* Some of the intervals of a call; `item` counts from the first of them. */
typedef struct {
    const logsig_request *request;
    ptrdiff_t first, count;
    logsig_ranked *ranked; /* in the order of their points */
    ptrdiff_t *starts, *lengths; /* of the ranked ones, as kernels take them */
    ptrdiff_t *copies;           /* where the copied points of an item begin */
    logsig_real *points, *d_points;
} logsig_interval_work;

/* How many points an interval has; from: the first one. */
LOGSIG_INLINE ptrdiff_t logsig_interval(const logsig_request *request, ptrdiff_t item, ptrdiff_t *from)
{
    const logsig_path_call *const call = request->call;
    const ptrdiff_t path = item / request->per_path;
    const ptrdiff_t *const pair = call->intervals + path * call->intervals_stride + 2 * (item % request->per_path);
    const ptrdiff_t most = call->lengths ? call->lengths[path] : call->length;
    const ptrdiff_t end = pair[1] < most ? pair[1] + 1 : most;
    *from = pair[0];
    return end > pair[0] ? end - pair[0] : 0;
}

/* Whether an interval is made of blocks of its path (logsig_blocks.h), which follows from its own steps. */
LOGSIG_INLINE int logsig_is_long(const logsig_request *request, ptrdiff_t points)
{
    return request->block && points > 2 * LOGSIG_PIECE_STEPS && points > 4 * request->block;
}

/* How many points there are to walk along: none of a long interval. */
LOGSIG_INLINE ptrdiff_t logsig_walked(const logsig_request *request, ptrdiff_t item, ptrdiff_t *from)
{
    const ptrdiff_t points = logsig_interval(request, item, from);
    return logsig_is_long(request, points) ? 0 : points;
}

static int logsig_is_shorter(const void *one, const void *other)
{
    const logsig_ranked *const x = one, *const y = other;
    if (x->points != y->points) return x->points < y->points ? -1 : 1;
    return x->item < y->item ? -1 : 1;
}

LOGSIG_NOINLINE int logsig_interval_room(logsig_interval_work *work, ptrdiff_t count)
{
    work->ranked = malloc((size_t)(count + 1) * sizeof(logsig_ranked));
    work->starts = malloc((size_t)(3 * count + 1) * sizeof(ptrdiff_t));
    return work->ranked && work->starts ? 0 : ENOMEM;
}

LOGSIG_NOINLINE void logsig_free_intervals(logsig_interval_work *work)
{
    free(work->ranked);
    free(work->starts);
}

/* Those of items first ... first + count - 1 that are not long, where they lie in the array of paths. */
LOGSIG_NOINLINE logsig_some_paths logsig_take_intervals(logsig_interval_work *work, ptrdiff_t first, ptrdiff_t count)
{
    const logsig_request *const request = work->request;
    logsig_some_paths some = {request->call->path, 0, 0, 0, work->starts + count, work->starts};
    work->first = first;
    work->count = count;
    work->lengths = work->starts + count;
    work->copies = work->starts + 2 * count;
    for (ptrdiff_t k = 0, from, end = 0; k < count; k++) {
        const ptrdiff_t points = logsig_interval(request, first + k, &from);
        work->copies[k] = end;
        if (logsig_is_long(request, points)) continue;
        work->ranked[some.count++] = (logsig_ranked){points, k};
        end += points * request->dimension;
    }
    qsort(work->ranked, (size_t)some.count, sizeof(logsig_ranked), logsig_is_shorter);
    for (ptrdiff_t k = 0, from; k < some.count; k++) {
        const ptrdiff_t item = first + work->ranked[k].item;
        work->lengths[k] = logsig_interval(request, item, &from);
        work->starts[k] =
            work->lengths[k] ? logsig_start(request->call, item / request->per_path) + from * request->dimension : 0;
    }
    return some;
}

LOGSIG_NOINLINE int logsig_forward_intervals(const logsig_request *request)
{
    const logsig_path_call *const call = request->call;
    const ptrdiff_t width = request->width;
    /* few enough that their rows stay in the cache until they are put in their places */
    const ptrdiff_t chunk = logsig_at_a_time(16 * width, 8 * LOGSIG_LANES * (ptrdiff_t)call->n_jobs, request->items);
    logsig_interval_work work = {.request = request};
    logsig_real *const rows = logsig_numbers(chunk * width);
    int error = logsig_interval_room(&work, chunk) || !rows ? ENOMEM : 0;
    for (ptrdiff_t first = 0; !error && first < request->items; first += chunk) {
        const ptrdiff_t count = request->items - first < chunk ? request->items - first : chunk;
        const logsig_some_paths some = logsig_take_intervals(&work, first, count);
        logsig_real *const out = (logsig_real *)call->out + first * call->out_stride;
        error = logsig_walk_some(request, &some, rows, width);
        if (!error && request->map) {
            const logsig_map_rows job = {.from = rows, .to = rows, .inner = 1, .from_block = width, .to_block = width};
            error = logsig_convert(request, job, some.count);
        }
        for (ptrdiff_t k = 0; !error && k < some.count; k++)
            memcpy(out + work.ranked[k].item * call->out_stride, rows + k * width, (size_t)width * sizeof(logsig_real));
    }
    logsig_free_numbers(rows);
    logsig_free_intervals(&work);
    return error;
}

/* ---- backward -------------------------------------------------------------------------------------------------- */

LOGSIG_NOINLINE void logsig_copy_intervals(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_interval_work *const work = given;
    (void)frame;
    for (; row < end; row++) {
        const ptrdiff_t to = work->copies[work->ranked[row].item];
        memcpy(work->points + to, (const logsig_real *)work->request->call->path + work->starts[row],
               (size_t)(work->lengths[row] * work->request->dimension) * sizeof(logsig_real));
    }
}

/* Adds the derivatives of the intervals of paths row ... end - 1, counted from the path of the first interval. */
LOGSIG_NOINLINE void logsig_add_intervals(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_interval_work *const work = given;
    const logsig_request *const request = work->request;
    const logsig_path_call *const call = request->call;
    (void)frame;
    for (; row < end; row++) {
        const ptrdiff_t b = work->first / request->per_path + row;
        const ptrdiff_t first = b * request->per_path - work->first, beyond = first + request->per_path;
        logsig_real *const d_path = (logsig_real *)call->d_path + logsig_d_start(call, b);
        for (ptrdiff_t k = first < 0 ? 0 : first, from; k < beyond && k < work->count; k++) {
            const ptrdiff_t numbers = logsig_walked(request, work->first + k, &from) * request->dimension;
            logsig_add_numbers(d_path + from * request->dimension, work->d_points + work->copies[k], numbers);
        }
    }
}

/* Rows of intervals in the order of their points. */
LOGSIG_NOINLINE logsig_row_array logsig_rank_rows(const logsig_interval_work *work, ptrdiff_t count,
                                                  logsig_row_array rows, logsig_real *room)
{
    const logsig_row_array ranked = {room, work->request->size};
    for (ptrdiff_t k = 0; k < count; k++)
        memcpy(room + k * ranked.stride, rows.data + work->ranked[k].item * rows.stride,
               (size_t)ranked.stride * sizeof(logsig_real));
    return ranked;
}

/* The intervals `taken` backward; points: how many they have. */
LOGSIG_NOINLINE int logsig_some_intervals_back(logsig_interval_work *work, const logsig_some_paths *taken,
                                               ptrdiff_t points)
{
    const logsig_request *const request = work->request;
    const logsig_path_call *const call = request->call;
    const ptrdiff_t count = work->count, part = count * request->size, last = work->first + count - 1;
    const ptrdiff_t paths = last / request->per_path - work->first / request->per_path + 1;
    logsig_real *const room = logsig_numbers(3 * part + 2 * points * request->dimension);
    if (!room) return ENOMEM;
    const logsig_row_array d_out = {call->d_out, call->d_out_stride};
    const logsig_row_array known = {(const logsig_real *)call->result + work->first * call->result_stride,
                                    call->result_stride};
    logsig_row_array d_rows, rows = {room + part, request->size};
    work->points = room + 3 * part;
    work->d_points = work->points + points * request->dimension;
    int error = logsig_in_brackets(request, d_out, work->first, count, room + 2 * part, &d_rows);
    if (!error) {
        d_rows = logsig_rank_rows(work, taken->count, d_rows, room);
        if (call->result) rows = logsig_rank_rows(work, taken->count, known, room + part);
        else error = logsig_walk_some(request, taken, room + part, request->size);
    }
    if (!error) error = logsig_share(work, logsig_copy_intervals, 1, taken->count, call->n_jobs);
    if (!error) {
        const logsig_some_paths copies = {work->points, 0, 0, taken->count, work->lengths, work->starts};
        for (ptrdiff_t k = 0; k < taken->count; k++) work->starts[k] = work->copies[work->ranked[k].item];
        error = logsig_walk_back_some(request, &copies, d_rows, rows, work->d_points, 0);
    }
    if (!error) error = logsig_share(work, logsig_add_intervals, 1, paths, call->n_jobs);
    logsig_free_numbers(room);
    return error;
}

/* So many intervals from `first` on that they fill the room, and, if they are few and long, the lanes. */
LOGSIG_NOINLINE ptrdiff_t logsig_intervals_at_a_time(const logsig_request *request, ptrdiff_t first, ptrdiff_t *points)
{
    const ptrdiff_t least = LOGSIG_LANES * (ptrdiff_t)request->call->n_jobs * 2 * LOGSIG_PIECE_STEPS;
    ptrdiff_t count = 0, from;
    *points = 0;
    while (first + count < request->items &&
           (3 * count * request->size + 2 * *points * request->dimension < LOGSIG_CALL_ROOM || count + *points < least))
        *points += logsig_walked(request, first + count++, &from);
    return count;
}

LOGSIG_NOINLINE int logsig_backward_intervals(const logsig_request *request)
{
    int error = 0;
    logsig_clear_points(request, 1);
    for (ptrdiff_t first = 0, count, points; !error && first < request->items; first += count) {
        logsig_interval_work work = {.request = request};
        count = logsig_intervals_at_a_time(request, first, &points);
        error = logsig_interval_room(&work, count);
        if (!error) {
            const logsig_some_paths taken = logsig_take_intervals(&work, first, count);
            if (taken.count) error = logsig_some_intervals_back(&work, &taken, points);
        }
        logsig_free_intervals(&work);
    }
    return error;
}

#endif
