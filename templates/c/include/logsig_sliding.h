/* Windows that overlap, each at a cost that does not depend on its size.
 *
 * A unit is m consecutive windows, `step` steps apart. Their starts lie in one segment of m * step steps, their ends in
 * another one of as many steps, and what lies between these two is common to all of them, the middle:
 *
 *     window t  =  suffix[t] * prefix[t],   suffix[t] = (steps from start t to the end of its segment) * middle,
 *                                           prefix[t] = (steps from the beginning of the other segment to end t).
 *
 * A suffix follows from the next one, a prefix from the one before: step by step, or, where windows are many steps
 * apart, by a product with the log-signature of these steps. So a window takes two short products and a long one. (This is
 * van Herk's and Gil and Werman's way to sliding extrema, for products.) Units fill the lanes. Suffixes stay in the
 * frame, prefixes too, and nothing is written but results.
 *
 * A middle is empty, or some steps, or `between` segments, a power of two, and then some steps. Log-signatures of segments
 * are computed once, multiplied with their neighbours, the products with theirs, and so on, as often as need be: a span
 * of units at a time, since they have segments in common. Nothing here depends on the batch or on threads; the numbers
 * of a window depend on its number within the path, those of a gradient on the length of the path as well.
 */
#ifndef LOGSIG_SLIDING_H
#define LOGSIG_SLIDING_H

#include "logsig_calls.h"

/* A unit's suffixes are at most so many numbers per lane, about: they stay in the cache next to the core. */
#ifndef LOGSIG_UNIT_NUMBERS
#define LOGSIG_UNIT_NUMBERS 6656
#endif
/* Units in a span, at least; longer middles make it longer, so that few segments are shared with the next span. */
#ifndef LOGSIG_SPAN_UNITS
#define LOGSIG_SPAN_UNITS 64
#endif
/* Numbers of the spans that are worked on at a time, about. */
#ifndef LOGSIG_SPANS_ROOM
#define LOGSIG_SPANS_ROOM (1 << 17)
#endif

/* z = log(exp(l) exp(k)), or with a displacement k; z may be l. */
typedef void (*logsig_product_fn)(logsig_vec *frame, logsig_vec *l, logsig_vec *k, logsig_vec *z);
/* The derivatives dl and dk of <g, product(l, k)>; dl may be g. */
typedef void (*logsig_product_back_fn)(logsig_vec *frame, logsig_vec *g, logsig_vec *l, logsig_vec *k, logsig_vec *dl,
                                       logsig_vec *dk);

/* The generated functions: those that go forward, and, for gradients, their adjoints. */
typedef struct {
    logsig_product_fn join, join_left, combine;
    logsig_product_back_fn join_back, join_left_back, combine_back;
    int scratch;      /* vectors they need */
    ptrdiff_t joined; /* up to so many steps between windows are cheaper one by one than as a product */
    ptrdiff_t each, once, by_product; /* what a window costs, in steps of a whole path; see logsig_slides */
    logsig_range_fn slide;      /* what goes through units instead of functions on lanes, or null; and its frame */
    int (*frame)(const void *); /* of the job, in vectors */
} logsig_chain;

/* How the windows of a path are computed. */
typedef struct {
    ptrdiff_t windows, steps;   /* of a unit; steps of its segment */
    ptrdiff_t between, rest;    /* the middle: segments, a power of two or none, and steps */
    ptrdiff_t units, span, spans; /* of a path; units of a span; spans of a path */
    int levels;                 /* of products of segments, with the segments themselves */
    int joined;                 /* whether suffixes and prefixes grow step by step */
} logsig_scheme;

/* Units first ... first + count - 1 of a path. What it has no use for is null. */
typedef struct {
    ptrdiff_t path, first, count, end; /* end: where its memory ends, in numbers */
    logsig_real *segments;           /* level after level, the products of 1, 2, 4, ... segments */
    logsig_real *rest, *middle;      /* a row for each unit */
    logsig_real *starts, *ends;      /* a row for each window: the steps up to the next start, up to the next end */
    logsig_real *d_out;              /* derivatives in Lyndon brackets, if they had to be converted */
    logsig_real *d_segments, *d_rest, *d_middle;
    logsig_real *d_starts, *d_ends;  /* by rows, or by displacements where there are none */
    logsig_real *p_segments, *p_rest, *p_starts, *p_ends; /* derivatives by points of each row's steps */
} logsig_span;

typedef struct {
    const logsig_request *request;
    const logsig_chain *chain;
    logsig_scheme scheme;
    int backward;
    logsig_real *room;
    ptrdiff_t first; /* number of the first span */
    ptrdiff_t numbers; /* of the memory of a span */
    int inner_jobs; /* threads for the kernels of a span */
    const logsig_real *idle; /* a row of zeros: derivatives by windows that there are not */
} logsig_sliding;

/* Whether windows cost less this way than one by one. */
LOGSIG_INLINE int logsig_slides(const logsig_path_call *call, const logsig_chain *chain)
{
    const int joined = call->step <= chain->joined;
    return logsig_overlap_pays(call->window, call->step, joined ? chain->each : 2, joined ? chain->once : chain->by_product);
}

/* ---- the scheme ------------------------------------------------------------------------------------------------ */

/* Units are as long as their suffixes' room allows, and as few segments make the middle. */
LOGSIG_INLINE logsig_scheme logsig_scheme_of(const logsig_request *request, const logsig_chain *chain, int backward)
{
    const ptrdiff_t step = request->call->step;
    logsig_scheme scheme = {.joined = step <= chain->joined};
    const ptrdiff_t states = backward ? 2 * (scheme.joined ? step : 1) : 1;
    const ptrdiff_t displacements = scheme.joined ? (backward ? 4 : 2) * step : 0;
    const ptrdiff_t most = LOGSIG_UNIT_NUMBERS / (states * request->size + displacements * request->dimension);
    const logsig_unit_shape shape = logsig_unit_of(request->call->window, step, most < 8 ? 8 : most);
    scheme.windows = shape.windows;
    scheme.steps = shape.steps;
    scheme.between = shape.between;
    scheme.rest = shape.rest;
    scheme.levels = shape.levels;
    scheme.units = (request->per_path - 1) / scheme.windows + 1;
    scheme.span = LOGSIG_SPAN_UNITS + 4 * scheme.between;
    if (scheme.span > scheme.units) scheme.span = scheme.units;
    scheme.spans = (scheme.units - 1) / scheme.span + 1;
    return scheme;
}

LOGSIG_INLINE logsig_real *logsig_part_of_room(logsig_real *room, ptrdiff_t *end, ptrdiff_t count)
{
    logsig_real *const part = room && count ? room + *end : NULL;
    *end += count;
    return part;
}

/* The index-th span at hand, and where its numbers are. */
LOGSIG_NOINLINE logsig_span logsig_span_at(const logsig_sliding *job, ptrdiff_t index)
{
    const logsig_scheme *const scheme = &job->scheme;
    const logsig_path_call *const call = job->request->call;
    const ptrdiff_t size = job->request->size, d = job->request->dimension, units = scheme->span;
    const ptrdiff_t segments = scheme->levels ? units + scheme->between - 1 : 0, rows = units * scheme->windows;
    const ptrdiff_t middles = scheme->levels && scheme->rest ? units : 0, rests = scheme->rest ? units : 0;
    const ptrdiff_t apart = scheme->joined ? 0 : rows, number = job->first + index;
    logsig_real *const room = job->room ? job->room + index * job->numbers : NULL;
    logsig_span span = {.path = number / scheme->spans, .first = number % scheme->spans * units, .count = units};
    if (span.count > scheme->units - span.first) span.count = scheme->units - span.first;
    span.segments = logsig_part_of_room(room, &span.end, scheme->levels * segments * size);
    span.rest = logsig_part_of_room(room, &span.end, rests * size);
    span.middle = logsig_part_of_room(room, &span.end, middles * size);
    span.starts = logsig_part_of_room(room, &span.end, apart * size);
    span.ends = logsig_part_of_room(room, &span.end, apart * size);
    if (!middles) span.middle = span.segments ? span.segments + (scheme->levels - 1) * segments * size : span.rest;
    if (!job->backward) return span;
    const ptrdiff_t moved = rows * (apart ? size : call->step * d);
    span.d_out = logsig_part_of_room(room, &span.end, job->request->map ? rows * size : 0);
    span.d_segments = logsig_part_of_room(room, &span.end, 3 * segments * size);
    span.d_rest = logsig_part_of_room(room, &span.end, middles * size);
    span.d_middle = logsig_part_of_room(room, &span.end, segments || rests ? units * size : 0);
    span.d_starts = logsig_part_of_room(room, &span.end, moved);
    span.d_ends = logsig_part_of_room(room, &span.end, moved);
    span.p_segments = logsig_part_of_room(room, &span.end, segments * (scheme->steps + 1) * d);
    span.p_rest = logsig_part_of_room(room, &span.end, rests * (scheme->rest + 1) * d);
    span.p_starts = logsig_part_of_room(room, &span.end, apart * (call->step + 1) * d);
    span.p_ends = logsig_part_of_room(room, &span.end, apart * (call->step + 1) * d);
    if (!middles && rests) span.d_rest = span.d_middle;
    return span;
}

/* ---- rows of a span -------------------------------------------------------------------------------------------- */

/* Stretches of a path: `count` of them, `apart` steps from each other, the first one from step `from` on. */
typedef struct {
    ptrdiff_t from, apart, steps, count;
} logsig_stretches;

LOGSIG_INLINE ptrdiff_t logsig_points_from(const logsig_path_call *call, ptrdiff_t path, ptrdiff_t from, ptrdiff_t most)
{
    const ptrdiff_t points = (call->lengths ? call->lengths[path] : call->length) - from;
    return points < 0 ? 0 : points < most ? points : most;
}

/* The segments that middles are made of, what middles have beyond them, steps between starts, and between ends. */
LOGSIG_INLINE logsig_stretches logsig_segments_of(const logsig_sliding *job, const logsig_span *span)
{
    const ptrdiff_t steps = job->scheme.steps;
    const logsig_stretches found = {(span->first + 1) * steps, steps, steps, span->count + job->scheme.between - 1};
    return found;
}

LOGSIG_INLINE logsig_stretches logsig_rests_of(const logsig_sliding *job, const logsig_span *span)
{
    const logsig_scheme *const scheme = &job->scheme;
    const logsig_stretches found = {(span->first + 1 + scheme->between) * scheme->steps, scheme->steps, scheme->rest,
                                    span->count};
    return found;
}

LOGSIG_INLINE logsig_stretches logsig_starts_of(const logsig_sliding *job, const logsig_span *span)
{
    const ptrdiff_t step = job->request->call->step;
    const logsig_stretches found = {span->first * job->scheme.steps, step, step, span->count * job->scheme.windows};
    return found;
}

LOGSIG_INLINE logsig_stretches logsig_ends_of(const logsig_sliding *job, const logsig_span *span)
{
    const logsig_scheme *const scheme = &job->scheme;
    const ptrdiff_t step = job->request->call->step, left = job->request->per_path - span->first * scheme->windows;
    const ptrdiff_t windows = span->count * scheme->windows;
    const logsig_stretches found = {(span->first + 1 + scheme->between) * scheme->steps + scheme->rest, step, step,
                                    (windows < left ? windows : left) - 1};
    return found;
}

/* Points of each stretch, if paths differ in length; whoever asks frees them. */
LOGSIG_NOINLINE int logsig_count_points(const logsig_path_call *call, ptrdiff_t path, const logsig_stretches *all,
                                        ptrdiff_t **points)
{
    *points = NULL;
    if (!call->lengths) return 0;
    *points = malloc((size_t)(all->count + 1) * sizeof(ptrdiff_t));
    if (!*points) return ENOMEM;
    for (ptrdiff_t k = 0; k < all->count; k++)
        (*points)[k] = logsig_points_from(call, path, all->from + k * all->apart, all->steps + 1);
    return 0;
}

LOGSIG_INLINE const logsig_real *logsig_point(const logsig_request *request, ptrdiff_t path, ptrdiff_t step)
{
    return (const logsig_real *)request->call->path + logsig_start(request->call, path) + step * request->dimension;
}

/* The log-signatures of stretches. */
LOGSIG_NOINLINE int logsig_along(const logsig_sliding *job, const logsig_span *span, logsig_stretches all,
                                 logsig_real *out)
{
    const logsig_request *const request = job->request;
    ptrdiff_t *points;
    int error = logsig_count_points(request->call, span->path, &all, &points);
    if (!error)
        error = ((logsig_log_sig_fn)request->functions.log_sig)(
            logsig_point(request, span->path, all.from), all.apart * request->dimension, all.steps + 1, points, NULL, NULL,
            out, request->size, all.count, job->inner_jobs);
    free(points);
    return error;
}

/* From derivatives by their log-signatures to derivatives by their points, those of each stretch for themselves. */
LOGSIG_NOINLINE int logsig_along_back(const logsig_sliding *job, const logsig_span *span, logsig_stretches all,
                                      const logsig_real *rows, const logsig_real *d_rows, logsig_real *d_points)
{
    const logsig_request *const request = job->request;
    const ptrdiff_t d = request->dimension, size = request->size;
    ptrdiff_t *points;
    int error = logsig_count_points(request->call, span->path, &all, &points);
    if (!error)
        error = ((logsig_log_sig_backprop_fn)request->functions.log_sig_backprop)(
            d_rows, size, rows, size, logsig_point(request, span->path, all.from), all.apart * d, all.steps + 1, points,
            NULL, NULL, d_points, (all.steps + 1) * d, all.count, job->inner_jobs);
    free(points);
    return error;
}

/* Everything the units of a span need. */
LOGSIG_NOINLINE int logsig_prepare_span(const logsig_sliding *job, const logsig_span *span)
{
    const logsig_scheme *const scheme = &job->scheme;
    const logsig_request *const request = job->request;
    const logsig_combine_fn combine = (logsig_combine_fn)request->functions.combine;
    const int size = request->size;
    const ptrdiff_t level = (scheme->span + scheme->between - 1) * size;
    ptrdiff_t rows = span->count + scheme->between - 1, apart = 1;
    logsig_real *at = span->segments;
    int error = 0;
    if (scheme->levels) error = logsig_along(job, span, logsig_segments_of(job, span), at);
    for (int k = 1; !error && k < scheme->levels; k++, apart *= 2, at += level) {
        rows -= apart;
        error = combine(at, size, at + apart * size, size, at + level, size, rows, job->inner_jobs);
    }
    if (!error && scheme->rest) error = logsig_along(job, span, logsig_rests_of(job, span), span->rest);
    if (!error && scheme->levels && scheme->rest)
        error = combine(at, size, span->rest, size, span->middle, size, span->count, job->inner_jobs);
    if (!error && span->starts) {
        const logsig_stretches ends = logsig_ends_of(job, span);
        error = logsig_along(job, span, logsig_starts_of(job, span), span->starts);
        if (!error && ends.count) error = logsig_along(job, span, ends, span->ends);
        memset(span->ends + ends.count * size, 0,
               (size_t)((span->count * scheme->windows - ends.count) * size) * sizeof(logsig_real));
    }
    return error;
}

/* From derivatives by levels of products of segments to those by segments, where d_segments begins. */
LOGSIG_NOINLINE int logsig_levels_back(const logsig_sliding *job, const logsig_span *span, const logsig_real *d_rows)
{
    const logsig_scheme *const scheme = &job->scheme;
    const int size = job->request->size;
    const ptrdiff_t level = (scheme->span + scheme->between - 1) * size;
    logsig_real *const sums = span->d_segments, *const left = sums + level, *const right = left + level;
    ptrdiff_t rows = span->count;
    memcpy(sums, d_rows, (size_t)(rows * size) * sizeof(logsig_real));
    for (ptrdiff_t k = scheme->levels - 2, apart = scheme->between / 2; k >= 0; k--, apart /= 2) {
        const logsig_real *const at = span->segments + k * level;
        const int error = ((logsig_combine_backprop_fn)job->request->functions.combine_backprop)(
            sums, size, at, size, at + apart * size, size, left, size, right, size, rows, job->inner_jobs);
        if (error) return error;
        memcpy(sums, left, (size_t)(rows * size) * sizeof(logsig_real));
        memset(sums + rows * size, 0, (size_t)(apart * size) * sizeof(logsig_real));
        for (ptrdiff_t i = 0; i < rows * size; i++) sums[apart * size + i] += right[i];
        rows += apart;
    }
    return 0;
}

/* From derivatives by what the units took to derivatives by points, beside each other. */
LOGSIG_NOINLINE int logsig_span_back(const logsig_sliding *job, const logsig_span *span)
{
    const logsig_scheme *const scheme = &job->scheme;
    const int size = job->request->size;
    const logsig_real *d_levels = span->d_middle;
    int error = 0;
    if (scheme->levels && scheme->rest) {
        const logsig_real *const top =
            span->segments + (scheme->levels - 1) * (scheme->span + scheme->between - 1) * size;
        d_levels = span->d_segments + (scheme->span + scheme->between - 1) * size;
        error = ((logsig_combine_backprop_fn)job->request->functions.combine_backprop)(
            span->d_middle, size, top, size, span->rest, size, (logsig_real *)d_levels, size, span->d_rest, size,
            span->count, job->inner_jobs);
    }
    if (!error && scheme->levels) error = logsig_levels_back(job, span, d_levels);
    if (!error && scheme->levels)
        error = logsig_along_back(job, span, logsig_segments_of(job, span), span->segments, span->d_segments,
                                  span->p_segments);
    if (!error && scheme->rest)
        error = logsig_along_back(job, span, logsig_rests_of(job, span), span->rest, span->d_rest, span->p_rest);
    if (!error && span->starts) {
        const logsig_stretches ends = logsig_ends_of(job, span);
        error = logsig_along_back(job, span, logsig_starts_of(job, span), span->starts, span->d_starts, span->p_starts);
        if (!error && ends.count) error = logsig_along_back(job, span, ends, span->ends, span->d_ends, span->p_ends);
    }
    return error;
}

/* ---- units ----------------------------------------------------------------------------------------------------- */

/* The units of a block, one per lane. */
typedef struct {
    logsig_span span[LOGSIG_LANES];
    ptrdiff_t unit[LOGSIG_LANES];    /* within the span */
    ptrdiff_t windows[LOGSIG_LANES]; /* that there are */
    const logsig_real *row[LOGSIG_LANES]; /* of the first window, of the result or of its derivatives */
    ptrdiff_t row_stride, next_row; /* from a row to the next, and to the one that is wanted next */
    logsig_walk starts, ends;
} logsig_units;

LOGSIG_INLINE void logsig_walk_from(const logsig_sliding *job, logsig_walk *walk, int lane, ptrdiff_t path,
                                    ptrdiff_t step, ptrdiff_t most)
{
    if (!lane) walk->ahead = 0;
    walk->lane[lane] = logsig_point(job->request, path, step);
    walk->points[lane] = logsig_points_from(job->request->call, path, step, most);
    if (!lane || walk->points[lane] < walk->shortest) walk->shortest = walk->points[lane];
}

/* Takes a unit of all spans at hand into a lane. */
LOGSIG_INLINE void logsig_take_unit(const logsig_sliding *job, logsig_units *units, int lane, ptrdiff_t unit)
{
    const logsig_scheme *const scheme = &job->scheme;
    const logsig_request *const request = job->request;
    const logsig_path_call *const call = request->call;
    const logsig_real *const rows = job->backward ? call->d_out : call->out;
    const ptrdiff_t stride = job->backward ? call->d_out_stride : call->out_stride;
    const logsig_span span = logsig_span_at(job, unit / scheme->span);
    const ptrdiff_t within = unit % scheme->span, number = span.first + within;
    const ptrdiff_t left = request->per_path - number * scheme->windows;
    const ptrdiff_t windows = left < 0 ? 0 : left < scheme->windows ? left : scheme->windows;
    const ptrdiff_t row = span.path * request->per_path + number * scheme->windows;
    const ptrdiff_t end = (number + 1 + scheme->between) * scheme->steps + scheme->rest;
    units->row_stride = job->backward && request->map ? request->size : stride;
    units->next_row = job->backward ? -units->row_stride : units->row_stride;
    units->span[lane] = span;
    units->unit[lane] = within;
    units->windows[lane] = windows;
    units->row[lane] = span.d_out ? span.d_out + within * scheme->windows * request->size : rows + row * stride;
    logsig_walk_from(job, &units->starts, lane, span.path, windows ? number * scheme->steps : 0,
                     windows ? scheme->steps + 1 : 0);
    logsig_walk_from(job, &units->ends, lane, span.path, windows ? end : 0,
                     windows ? (windows - 1) * call->step + 1 : 0);
}

/* Takes units first ... first + live - 1 into the lanes; spare lanes repeat the last one. */
LOGSIG_NOINLINE void logsig_take_units(const logsig_sliding *job, logsig_units *units, ptrdiff_t first, int live)
{
    for (int i = 0; i < LOGSIG_LANES; i++) logsig_take_unit(job, units, i, first + (i < live ? i : live - 1));
}

/* Rows of window t, after which those of the next one are asked for; idle: what takes their place for lanes that have no such window. */
LOGSIG_INLINE void logsig_at_window(const logsig_units *units, logsig_rows *rows, ptrdiff_t t, const logsig_real *idle)
{
    for (int i = 0; i < LOGSIG_LANES; i++)
        rows->lane[i] = t < units->windows[i] ? units->row[i] + t * units->row_stride : idle;
    rows->next = 0;
    rows->ahead = units->next_row;
}

/* Rows of each unit, t of `of` in the array that `which` names. */
#define LOGSIG_AT_ROW(rows, units, which, of, t, numbers) \
    do { \
        for (int i_ = 0; i_ < LOGSIG_LANES; i_++) \
            (rows)->lane[i_] = (units)->span[i_].which + ((units)->unit[i_] * (of) + (t)) * (numbers); \
        (rows)->next = 0; \
    } while (0)

/* Where the vectors of a block are. Rows that are moved have room on either side. */
typedef struct {
    logsig_vec *scratch, *suffixes, *prefixes, *row, *other, *d_prefix, *x, *y, *dx, *dy;
} logsig_unit_frame;

LOGSIG_INLINE logsig_vec *logsig_room_in(logsig_vec *frame, ptrdiff_t *end, ptrdiff_t count)
{
    logsig_vec *const at = frame ? frame + *end + LOGSIG_LANES : NULL;
    *end += count + 2 * LOGSIG_LANES;
    return at;
}

/* Returns the vectors of a frame. */
LOGSIG_INLINE ptrdiff_t logsig_frame_of(const logsig_sliding *job, logsig_vec *frame, logsig_unit_frame *found)
{
    const ptrdiff_t size = job->request->size, states = job->backward ? job->scheme.steps : job->scheme.windows;
    const ptrdiff_t m = job->scheme.joined ? states : job->scheme.windows;
    const ptrdiff_t displacements = job->scheme.joined ? job->scheme.steps * job->request->dimension : 0;
    const ptrdiff_t back = job->backward ? size : 0;
    ptrdiff_t end = 0;
    found->scratch = logsig_room_in(frame, &end, job->chain->scratch);
    found->suffixes = logsig_room_in(frame, &end, (m + 1) * size);
    found->prefixes = logsig_room_in(frame, &end, back ? m * size : size);
    found->row = logsig_room_in(frame, &end, size);
    found->other = logsig_room_in(frame, &end, size);
    found->d_prefix = logsig_room_in(frame, &end, back);
    found->x = logsig_room_in(frame, &end, displacements);
    found->y = logsig_room_in(frame, &end, displacements);
    found->dx = logsig_room_in(frame, &end, back ? displacements : 0);
    found->dy = logsig_room_in(frame, &end, back ? displacements : 0);
    return end;
}

LOGSIG_INLINE void logsig_fetch_to(logsig_rows *rows, logsig_vec *at)
{
    rows->at = at;
    logsig_fetch(rows, rows->columns);
}

LOGSIG_INLINE void logsig_flush_from(logsig_rows *rows, logsig_vec *at)
{
    rows->at = at;
    logsig_flush(rows, rows->columns);
}

LOGSIG_INLINE void logsig_add_to(logsig_vec *sum, const logsig_vec *x, ptrdiff_t size)
{
    for (ptrdiff_t k = 0; k < size; k++) sum[k] = LOGSIG_ADD(sum[k], x[k]);
}

LOGSIG_INLINE void logsig_move(logsig_vec *to, const logsig_vec *from, ptrdiff_t size)
{
    for (ptrdiff_t k = 0; k < size; k++) to[k] = from[k];
}

/* All suffixes, suffixes + t * size, the longest first; after the last of them the middle. Backward step by step: those
 * from every step on. */
LOGSIG_INLINE void logsig_find_suffixes(const logsig_sliding *job, const logsig_units *units, logsig_rows *rows,
                                        const logsig_unit_frame *at)
{
    const logsig_chain *const chain = job->chain;
    const logsig_scheme *const scheme = &job->scheme;
    const ptrdiff_t size = job->request->size, d = job->request->dimension;
    const ptrdiff_t steps = scheme->joined ? scheme->steps : scheme->windows;
    const ptrdiff_t each = scheme->joined && !job->backward ? job->request->call->step : 1;
    const int middle = units->span[0].middle != NULL;
    logsig_vec *s = at->suffixes + steps / each * size;
    if (middle) {
        LOGSIG_AT_ROW(rows, units, middle, 1, 0, size);
        logsig_fetch_to(rows, s);
    } else {
        logsig_clear(s, (int)size);
    }
    if (scheme->joined) logsig_load_displacements(&units->starts, (int)d, 0, steps, at->x);
    for (ptrdiff_t t = steps - 1; t >= 0; t--) {
        logsig_vec *const next = at->suffixes + t / each * size;
        if (scheme->joined) {
            chain->join_left(at->scratch, s, at->x + t * d, next);
        } else {
            LOGSIG_AT_ROW(rows, units, starts, steps, t, size);
            logsig_fetch_to(rows, t == steps - 1 && !middle ? next : at->other);
            if (t < steps - 1 || middle) chain->combine(at->scratch, at->other, s, next);
        }
        s = next;
    }
}

/* The prefix of window t + 1 from that of window t; backward step by step: that after another step. */
LOGSIG_INLINE void logsig_next_prefix(const logsig_sliding *job, const logsig_units *units, logsig_rows *rows,
                                      const logsig_unit_frame *at, ptrdiff_t t, logsig_vec *prefix, logsig_vec *next)
{
    const ptrdiff_t size = job->request->size, d = job->request->dimension;
    if (job->scheme.joined) {
        const ptrdiff_t each = job->backward ? 1 : job->request->call->step;
        for (ptrdiff_t k = 0; k < each; k++) job->chain->join(at->scratch, prefix, at->y + (t * each + k) * d, next);
        return;
    }
    LOGSIG_AT_ROW(rows, units, ends, job->scheme.windows, t, size);
    logsig_fetch_to(rows, at->other);
    if (t)
        job->chain->combine(at->scratch, prefix, at->other, next);
    else
        logsig_move(next, at->other, size);
}

LOGSIG_NOINLINE void logsig_slide(const void *given, logsig_vec *frame, ptrdiff_t unit, ptrdiff_t end)
{
    const logsig_sliding *const job = given;
    const ptrdiff_t m = job->scheme.windows, size = job->request->size, d = job->request->dimension;
    logsig_unit_frame at;
    logsig_units units;
    logsig_rows rows = {.columns = (int)size};
    logsig_frame_of(job, frame, &at);
    for (; unit < end; unit += LOGSIG_LANES) {
        logsig_take_units(job, &units, unit, end - unit < LOGSIG_LANES ? (int)(end - unit) : LOGSIG_LANES);
        logsig_find_suffixes(job, &units, &rows, &at);
        logsig_clear(at.prefixes, (int)size);
        if (job->scheme.joined && m > 1)
            logsig_load_displacements(&units.ends, (int)d, 0, (m - 1) * job->request->call->step, at.y);
        for (ptrdiff_t t = 0; t < m; t++) {
            job->chain->combine(at.scratch, at.suffixes + t * size, at.prefixes, at.row);
            logsig_at_window(&units, &rows, t, (const logsig_real *)at.other);
            logsig_flush_from(&rows, at.row);
            rows.ahead = 0;
            if (t + 1 < m) logsig_next_prefix(job, &units, &rows, &at, t, at.prefixes, at.prefixes);
        }
    }
}

/* Derivatives by displacements go to an array of the span. */
#define LOGSIG_STORE_DISPLACEMENTS(job, units, which, from) \
    do { \
        const ptrdiff_t steps_ = (job)->scheme.steps, d_ = (job)->request->dimension; \
        logsig_walk walk_; \
        walk_.shortest = steps_; \
        for (int i_ = 0; i_ < LOGSIG_LANES; i_++) \
            walk_.lane[i_] = (units)->span[i_].which + (units)->unit[i_] * steps_ * d_; \
        logsig_store_points(&walk_, (int)d_, 0, steps_, (from)); \
    } while (0)

/* From prefix t + 1 to prefix t, and to what is between them. */
LOGSIG_INLINE void logsig_prefix_back(const logsig_sliding *job, const logsig_units *units, logsig_rows *rows,
                                      const logsig_unit_frame *at, ptrdiff_t t, logsig_vec *prefix)
{
    const ptrdiff_t m = job->scheme.windows, size = job->request->size, d = job->request->dimension;
    logsig_vec *found = at->d_prefix;
    if (job->scheme.joined) {
        job->chain->join_back(at->scratch, at->d_prefix, prefix, at->y + t * d, at->d_prefix, at->dy + t * d);
        return;
    }
    if (t) {
        LOGSIG_AT_ROW(rows, units, ends, m, t, size);
        logsig_fetch_to(rows, at->other);
        job->chain->combine_back(at->scratch, at->d_prefix, prefix, at->other, at->d_prefix, at->row);
        found = at->row;
    }
    LOGSIG_AT_ROW(rows, units, d_ends, m, t, size);
    logsig_flush_from(rows, found);
}

/* From the last window to the first: the product, then the prefix back. What is found of a suffix takes the place of the
 * prefix of the same window. */
LOGSIG_INLINE void logsig_windows_to_chains(const logsig_sliding *job, const logsig_units *units, logsig_rows *rows,
                                            const logsig_unit_frame *at)
{
    const ptrdiff_t m = job->scheme.windows, size = job->request->size;
    const ptrdiff_t each = job->scheme.joined ? job->request->call->step : 1;
    logsig_clear(at->d_prefix, (int)size);
    if (!job->scheme.joined) { /* the last of them is not used */
        LOGSIG_AT_ROW(rows, units, d_ends, m, m - 1, size);
        logsig_flush_from(rows, at->d_prefix);
    }
    for (ptrdiff_t t = (m - 1) * each; t >= 0; t--) {
        logsig_vec *const prefix = at->prefixes + t * size;
        if (t < (m - 1) * each) logsig_prefix_back(job, units, rows, at, t, prefix);
        if (t % each) continue;
        logsig_at_window(units, rows, t / each, job->idle);
        logsig_fetch_to(rows, at->row);
        rows->ahead = 0;
        job->chain->combine_back(at->scratch, at->row, at->suffixes + t * size, prefix, at->row, at->other);
        logsig_add_to(at->d_prefix, at->other, size);
        logsig_move(prefix, at->row, size);
    }
}

/* From the longest suffix to the middle. */
LOGSIG_INLINE void logsig_suffixes_back(const logsig_sliding *job, const logsig_units *units, logsig_rows *rows,
                                        const logsig_unit_frame *at)
{
    const logsig_chain *const chain = job->chain;
    const ptrdiff_t m = job->scheme.windows, size = job->request->size, d = job->request->dimension;
    const ptrdiff_t each = job->scheme.joined ? job->request->call->step : 1;
    const int middle = units->span[0].middle != NULL;
    logsig_vec *sum = at->row, *found = at->d_prefix;
    logsig_clear(sum, (int)size);
    for (ptrdiff_t t = 0; t < m * each; t++) {
        logsig_vec *const next = at->suffixes + (t + 1) * size;
        if (t % each == 0) logsig_add_to(sum, at->prefixes + t * size, size);
        if (job->scheme.joined) {
            chain->join_left_back(at->scratch, sum, next, at->x + t * d, sum, at->dx + t * d);
            continue;
        }
        if (t < m - 1 || middle) {
            LOGSIG_AT_ROW(rows, units, starts, m, t, size);
            logsig_fetch_to(rows, at->other);
            chain->combine_back(at->scratch, sum, at->other, next, sum, found);
        }
        LOGSIG_AT_ROW(rows, units, d_starts, m, t, size);
        logsig_flush_from(rows, sum);
        logsig_vec *const swap = sum;
        sum = found;
        found = swap;
    }
    if (!middle) return;
    LOGSIG_AT_ROW(rows, units, d_middle, 1, 0, size);
    logsig_flush_from(rows, sum);
}

LOGSIG_NOINLINE void logsig_slide_back(const void *given, logsig_vec *frame, ptrdiff_t unit, ptrdiff_t end)
{
    const logsig_sliding *const job = given;
    const ptrdiff_t size = job->request->size, d = job->request->dimension;
    const int joined = job->scheme.joined;
    const ptrdiff_t last = (job->scheme.windows - 1) * (joined ? job->request->call->step : 1);
    logsig_unit_frame at;
    logsig_units units;
    logsig_rows rows = {.columns = (int)size};
    logsig_frame_of(job, frame, &at);
    for (; unit < end; unit += LOGSIG_LANES) {
        logsig_take_units(job, &units, unit, end - unit < LOGSIG_LANES ? (int)(end - unit) : LOGSIG_LANES);
        logsig_find_suffixes(job, &units, &rows, &at);
        logsig_clear(at.prefixes, (int)size);
        if (joined && last) logsig_load_displacements(&units.ends, (int)d, 0, last, at.y);
        for (ptrdiff_t t = 0; t < last; t++)
            logsig_next_prefix(job, &units, &rows, &at, t, at.prefixes + t * size, at.prefixes + (t + 1) * size);
        logsig_windows_to_chains(job, &units, &rows, &at);
        logsig_suffixes_back(job, &units, &rows, &at);
        if (!joined) continue;
        logsig_clear(at.dy + last * d, (int)((job->scheme.steps - last) * d));
        LOGSIG_STORE_DISPLACEMENTS(job, &units, d_starts, at.dx);
        LOGSIG_STORE_DISPLACEMENTS(job, &units, d_ends, at.dy);
    }
}

/* ---- sums ------------------------------------------------------------------------------------------------------ */

LOGSIG_INLINE void logsig_subtract_numbers(logsig_real *to, const logsig_real *x, ptrdiff_t count)
{
    ptrdiff_t i = 0;
    for (; i + LOGSIG_LANES <= count; i += LOGSIG_LANES)
        logsig_store(to + i, LOGSIG_SUB(logsig_load(to + i), logsig_load(x + i)));
    for (; i < count; i++) to[i] -= x[i];
}

/* Adds derivatives by points of stretches to those of their path. */
LOGSIG_NOINLINE void logsig_add_stretches(const logsig_path_call *call, const logsig_span *span, ptrdiff_t d,
                                          logsig_stretches all, const logsig_real *d_points, logsig_real *d_path)
{
    for (ptrdiff_t k = 0; d_points && k < all.count; k++) {
        const ptrdiff_t from = all.from + k * all.apart, points = logsig_points_from(call, span->path, from, all.steps + 1);
        logsig_add_numbers(d_path + from * d, d_points + k * (all.steps + 1) * d, points * d);
    }
}

/* The same for derivatives by displacements that follow one another. */
LOGSIG_INLINE void logsig_add_displacements(const logsig_path_call *call, const logsig_span *span, ptrdiff_t d,
                                            logsig_stretches all, const logsig_real *dv, logsig_real *d_path)
{
    const ptrdiff_t points = logsig_points_from(call, span->path, all.from, all.count * all.steps + 1);
    if (points < 2) return;
    logsig_add_numbers(d_path + (all.from + 1) * d, dv, (points - 1) * d);
    logsig_subtract_numbers(d_path + all.from * d, dv, (points - 1) * d);
}

typedef struct {
    const logsig_sliding *job;
    ptrdiff_t count; /* spans at hand */
} logsig_sums;

/* Adds the derivatives of paths row ... end - 1, counted from that of the first span at hand. */
LOGSIG_NOINLINE void logsig_add_spans(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_sums *const sums = given;
    const logsig_sliding *const job = sums->job;
    const logsig_path_call *const call = job->request->call;
    const ptrdiff_t d = job->request->dimension, path = job->first / job->scheme.spans;
    (void)frame;
    for (ptrdiff_t k = 0; k < sums->count; k++) {
        const logsig_span span = logsig_span_at(job, k);
        if (span.path - path < row || span.path - path >= end) continue;
        logsig_real *const d_path = (logsig_real *)call->d_path + logsig_d_start(call, span.path);
        if (job->scheme.joined) {
            logsig_add_displacements(call, &span, d, logsig_starts_of(job, &span), span.d_starts, d_path);
            logsig_add_displacements(call, &span, d, logsig_ends_of(job, &span), span.d_ends, d_path);
        }
        logsig_add_stretches(call, &span, d, logsig_starts_of(job, &span), span.p_starts, d_path);
        logsig_add_stretches(call, &span, d, logsig_segments_of(job, &span), span.p_segments, d_path);
        logsig_add_stretches(call, &span, d, logsig_rests_of(job, &span), span.p_rest, d_path);
        logsig_add_stretches(call, &span, d, logsig_ends_of(job, &span), span.p_ends, d_path);
    }
}

/* ---- calls ----------------------------------------------------------------------------------------------------- */

/* Derivatives by the windows of a span in Lyndon brackets. */
LOGSIG_NOINLINE int logsig_convert_span(const logsig_sliding *job, const logsig_span *span)
{
    const logsig_request *const request = job->request;
    const logsig_row_array given = {request->call->d_out, request->call->d_out_stride};
    const ptrdiff_t first = span->first * job->scheme.windows, left = request->per_path - first;
    const ptrdiff_t windows = span->count * job->scheme.windows;
    logsig_row_array found;
    return logsig_in_brackets(request, given, span->path * request->per_path + first, windows < left ? windows : left,
                              span->d_out, &found);
}

/* All windows, or their gradients, some spans at a time; or LOGSIG_ONE_BY_ONE. */
LOGSIG_UNUSED static int logsig_slide_all(const logsig_request *request, const logsig_chain *chain, int backward)
{
    const logsig_path_call *const call = request->call;
    if (!logsig_slides(call, chain)) return LOGSIG_ONE_BY_ONE;
    if (backward) logsig_clear_points(request, 1);
    if (!request->items) return 0;
    logsig_sliding job = {.request = request, .chain = chain, .backward = backward, .inner_jobs = call->n_jobs};
    job.scheme = logsig_scheme_of(request, chain, backward);
    logsig_unit_frame at;
    const ptrdiff_t all = call->batch * job.scheme.spans, units = LOGSIG_LANES * (ptrdiff_t)call->n_jobs;
    const int frame = chain->frame ? chain->frame(&job) : (int)logsig_frame_of(&job, NULL, &at);
    const logsig_range_fn slide = chain->slide ? chain->slide : backward ? logsig_slide_back : logsig_slide;
    job.numbers = logsig_span_at(&job, 0).end;
    ptrdiff_t chunk = job.numbers ? LOGSIG_SPANS_ROOM / job.numbers : all, least = (units - 1) / job.scheme.span + 1;
    if (chunk < least) chunk = least;
    if (chunk > all) chunk = all;
    logsig_real *const room = logsig_lines(chunk * job.numbers + request->size, 1);
    int error = room ? 0 : ENOMEM;
    job.idle = room + chunk * job.numbers;
    job.room = room;
    for (; !error && job.first < all; job.first += chunk) {
        const ptrdiff_t count = all - job.first < chunk ? all - job.first : chunk;
        for (ptrdiff_t k = 0; !error && k < count; k++) {
            const logsig_span span = logsig_span_at(&job, k);
            error = logsig_prepare_span(&job, &span);
            if (!error && span.d_out) error = logsig_convert_span(&job, &span);
        }
        if (!error) error = logsig_share(&job, slide, frame, count * job.scheme.span, call->n_jobs);
        if (!backward) continue;
        for (ptrdiff_t k = 0; !error && k < count; k++) {
            const logsig_span span = logsig_span_at(&job, k);
            error = logsig_span_back(&job, &span);
        }
        const logsig_sums sums = {&job, count};
        const ptrdiff_t paths = (job.first + count - 1) / job.scheme.spans - job.first / job.scheme.spans + 1;
        if (!error) error = logsig_share(&sums, logsig_add_spans, 1, paths, call->n_jobs);
    }
    logsig_free_numbers(room);
    if (error || backward || !request->map) return error;
    const logsig_map_rows rows = {.from = call->out, .to = call->out, .inner = 1, .from_block = call->out_stride,
                                  .to_block = call->out_stride};
    return logsig_convert(request, rows, request->items);
}

#endif
