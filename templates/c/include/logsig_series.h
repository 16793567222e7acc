/* Logarithms and exponentials in the truncated tensor algebra, and their gradients, in double precision.
 *
 * A row is an element without its constant part: the coefficients of the words of length 1 ... LOGSIG_DEGREE in
 * LOGSIG_DIMENSION letters, by length, then lexicographically. Its power series is evaluated by Horner's scheme,
 *
 *     stage k = x (c_{k+1} + stage k+1),
 *
 * of which only words of length up to LOGSIG_DEGREE - k are needed. The product of two lengths is an outer product: inner
 * loops go over the right factor, whose coefficients are neighbours.
 *
 * The loops exist twice, by `lanes`: with one, a row at a time and neighbouring coefficients in the lanes of a vector; with
 * LOGSIG_LANES, a row per lane. Each sum has the same order in both, so that a row has the same bits in either.
 *
 * Maps lead to and from other coordinates; one without coefficients selects: number k of its image is number indices[k].
 * Rows of float are converted, and results rounded once.
 */
#ifndef LOGSIG_SERIES_H
#define LOGSIG_SERIES_H

#include <string.h>

#include "logsig_maps.h"
#include "logsig_rows.h"
#include "logsig_series_call.h"

/* Of words of length k: how many there are, and the place of the first one of length k + 1. */
static const ptrdiff_t logsig_powers[] = {LOGSIG_POWERS}, logsig_starts[] = {LOGSIG_STARTS};


/* One number, rounded as a lane of LOGSIG_FMA is. */
#if LOGSIG_AVX512 || LOGSIG_AVX2 || LOGSIG_NEON
#define LOGSIG_SERIES_FMA(a, b, c) __builtin_fma((a), (b), (c))
#else
#define LOGSIG_SERIES_FMA(a, b, c) ((a) * (b) + (c))
#endif

#define LOGSIG_TILE (LOGSIG_DIMENSION < 10 ? LOGSIG_DIMENSION : 10) /* neighbours whose sums are in registers */
#define LOGSIG_PARTIAL 8 /* partial sums of a long sum */

typedef struct {
    const void *data;
    ptrdiff_t stride;
    int columns, scalar; /* numbers of a row after the `scalar` ones in front that stand for the empty word */
} logsig_series_rows;

/* c: coefficients of 1, x, x^2, ...; form: derivatives by the result, for a gradient. `before` maps lead from the rows of x to
 * expanded coordinates, `pulling` from those of the form, `after` from the result to its rows. single: all rows are of float.
 * constant: what stands for the empty word in a result. */
typedef struct {
    const double *c;
    const logsig_map *before, *pulling, *after;
    int n_before, n_pulling, n_after, single;
    double constant;
    logsig_series_rows x, form, out;
} logsig_series_job;

/* ---- products -------------------------------------------------------------------------------------------------- */

/* y += a x, of n numbers of one row */
LOGSIG_INLINE void logsig_series_add(ptrdiff_t n, double a, const double *restrict x, double *restrict y)
{
    const logsig_vec factor = LOGSIG_SET1(a);
    ptrdiff_t k = 0;
    for (; k + LOGSIG_LANES <= n; k += LOGSIG_LANES)
        logsig_store(y + k, LOGSIG_FMA(factor, logsig_load(x + k), logsig_load(y + k)));
    for (; k < n; k++) y[k] = LOGSIG_SERIES_FMA(a, x[k], y[k]);
}

/* y = c z + a x, of a number for each letter */
LOGSIG_INLINE void logsig_series_letters(double c, const double *restrict z, double a, const double *restrict x,
                                         double *restrict y)
{
    const logsig_vec factor = LOGSIG_SET1(a), scale = LOGSIG_SET1(c);
    for (ptrdiff_t k = 0; k < LOGSIG_DIMENSION / LOGSIG_LANES * LOGSIG_LANES; k += LOGSIG_LANES)
        logsig_store(y + k, LOGSIG_FMA(factor, logsig_load(x + k), LOGSIG_MUL(scale, logsig_load(z + k))));
    LOGSIG_UNROLL
    for (ptrdiff_t k = LOGSIG_DIMENSION / LOGSIG_LANES * LOGSIG_LANES; k < LOGSIG_DIMENSION; k++)
        y[k] = LOGSIG_SERIES_FMA(a, x[k], c * z[k]);
}

/* y = c x, or y += c x */
LOGSIG_INLINE void logsig_series_scale(const int lanes, ptrdiff_t n, double c, const double *x, double *y, int add)
{
    const logsig_vec scale = LOGSIG_SET1(c);
    ptrdiff_t k = 0;
    for (n *= lanes; k + LOGSIG_LANES <= n; k += LOGSIG_LANES) {
        const logsig_vec value = logsig_load(x + k);
        logsig_store(y + k, add ? LOGSIG_FMA(scale, value, logsig_load(y + k)) : LOGSIG_MUL(scale, value));
    }
    if (lanes == 1)
        for (; k < n; k++) y[k] = add ? LOGSIG_SERIES_FMA(c, x[k], y[k]) : c * x[k];
}

/* *pulled += sum of form and right; below += *left form. The sum is that of eight partial ones, whatever the lanes. */
LOGSIG_INLINE void logsig_series_pull(const int lanes, ptrdiff_t n, const double *form, const double *left,
                                      const double *right, double *pulled, double *below)
{
    if (lanes > 1) {
        const logsig_vec factor = logsig_load(left);
        logsig_vec part[LOGSIG_PARTIAL];
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_PARTIAL; i++) part[i] = LOGSIG_SET1(0);
        for (ptrdiff_t k = 0; k < n; k += LOGSIG_PARTIAL) {
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_PARTIAL; i++) {
                if (k + i >= n) break;
                const ptrdiff_t at = (k + i) * LOGSIG_LANES;
                const logsig_vec value = logsig_load(form + at);
                part[i] = LOGSIG_FMA(value, logsig_load(right + at), part[i]);
                logsig_store(below + at, LOGSIG_FMA(factor, value, logsig_load(below + at)));
            }
        }
        const logsig_vec sum = LOGSIG_ADD(LOGSIG_ADD(LOGSIG_ADD(part[0], part[1]), LOGSIG_ADD(part[2], part[3])),
                                          LOGSIG_ADD(LOGSIG_ADD(part[4], part[5]), LOGSIG_ADD(part[6], part[7])));
        logsig_store(pulled, LOGSIG_ADD(logsig_load(pulled), sum));
    } else {
        const logsig_vec factor = LOGSIG_SET1(*left);
        double numbers[LOGSIG_PARTIAL];
        logsig_vec part[LOGSIG_PARTIAL / LOGSIG_LANES];
        ptrdiff_t k = 0;
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_PARTIAL / LOGSIG_LANES; i++) part[i] = LOGSIG_SET1(0);
        for (; k + LOGSIG_PARTIAL <= n; k += LOGSIG_PARTIAL) {
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_PARTIAL / LOGSIG_LANES; i++) {
                const ptrdiff_t at = k + i * LOGSIG_LANES;
                const logsig_vec value = logsig_load(form + at);
                part[i] = LOGSIG_FMA(value, logsig_load(right + at), part[i]);
                logsig_store(below + at, LOGSIG_FMA(factor, value, logsig_load(below + at)));
            }
        }
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_PARTIAL / LOGSIG_LANES; i++) logsig_store(numbers + i * LOGSIG_LANES, part[i]);
        for (int i = 0; k < n; k++, i++) {
            numbers[i] = LOGSIG_SERIES_FMA(form[k], right[k], numbers[i]);
            below[k] = LOGSIG_SERIES_FMA(*left, form[k], below[k]);
        }
        *pulled += ((numbers[0] + numbers[1]) + (numbers[2] + numbers[3])) +
                   ((numbers[4] + numbers[5]) + (numbers[6] + numbers[7]));
    }
}

/* ---- Horner's scheme ------------------------------------------------------------------------------------------- */

/* stage = x (c + below), up to length `longest`; heads are taken from the longest one to the first letter. */
LOGSIG_INLINE void logsig_series_stage_of_row(int longest, double c, const double *restrict x, const double *restrict below,
                                              double *restrict stage)
{
    logsig_series_scale(1, LOGSIG_DIMENSION, c, x, stage, 0);
    for (int n = 2; n <= longest; n++) {
        const ptrdiff_t at = logsig_starts[n - 1];
        for (ptrdiff_t u = 0; u < logsig_powers[n - 1]; u++) {
            const ptrdiff_t place = at + u * LOGSIG_DIMENSION;
            logsig_series_letters(c, x + place, x[logsig_starts[n - 2] + u], below, stage + place);
        }
        for (int i = n - 2; i > 0; i--) {
            const ptrdiff_t count = logsig_powers[n - i];
            for (ptrdiff_t u = 0; u < logsig_powers[i]; u++)
                logsig_series_add(count, x[logsig_starts[i - 1] + u], below + logsig_starts[n - i - 1],
                                  stage + at + u * count);
        }
    }
}

/* The same in lanes, a few neighbours at a time, whose sums stay in registers. */
LOGSIG_INLINE void logsig_series_stage_in_lanes(int longest, double c, const logsig_vec *restrict x,
                                                const logsig_vec *restrict below, logsig_vec *restrict stage)
{
    const logsig_vec scale = LOGSIG_SET1(c);
    for (int n = 1; n <= longest; n++)
        for (ptrdiff_t u = 0; u < logsig_powers[n - 1]; u++) {
            const ptrdiff_t place = logsig_starts[n - 1] + u * LOGSIG_DIMENSION;
            for (int first = 0; first < LOGSIG_DIMENSION; first += LOGSIG_TILE) {
                const int some = LOGSIG_DIMENSION - first < LOGSIG_TILE ? LOGSIG_DIMENSION - first : LOGSIG_TILE;
                logsig_vec sum[LOGSIG_TILE];
                ptrdiff_t head = u;
                LOGSIG_UNROLL
                for (int a = 0; a < LOGSIG_TILE; a++)
                    if (a < some) sum[a] = LOGSIG_MUL(scale, x[place + first + a]);
                for (int i = n - 1; i > 0; i--, head /= LOGSIG_DIMENSION) {
                    const logsig_vec left = x[logsig_starts[i - 1] + head];
                    const logsig_vec *const right = below + logsig_starts[n - i - 1] + first +
                                                    (u - head * logsig_powers[n - 1 - i]) * LOGSIG_DIMENSION;
                    LOGSIG_UNROLL
                    for (int a = 0; a < LOGSIG_TILE; a++)
                        if (a < some) sum[a] = LOGSIG_FMA(left, right[a], sum[a]);
                }
                LOGSIG_UNROLL
                for (int a = 0; a < LOGSIG_TILE; a++)
                    if (a < some) stage[place + first + a] = sum[a];
            }
        }
}

LOGSIG_INLINE void logsig_series_stage(const int lanes, int longest, double c, const double *x, const double *below,
                                       double *stage)
{
    if (lanes == 1)
        logsig_series_stage_of_row(longest, c, x, below, stage);
    else
        logsig_series_stage_in_lanes(longest, c, (const logsig_vec *)x, (const logsig_vec *)below, (logsig_vec *)stage);
}

/* The form on x, added to `pulled`, and the form on `below` that a form on x (c + below), up to length `longest`, induces. */
LOGSIG_INLINE void logsig_series_pull_stage(const int lanes, int longest, double c, const double *x, const double *below,
                                            const double *form, double *pulled, double *d_below)
{
    logsig_series_scale(lanes, logsig_starts[longest], c, form, pulled, 1);
    memset(d_below, 0, (size_t)(logsig_starts[longest - 1] * lanes) * sizeof(double));
    for (int n = 2; n <= longest; n++)
        for (int i = 1; i < n; i++) {
            const ptrdiff_t count = logsig_powers[n - i], step = count * lanes;
            const double *const outer = form + logsig_starts[n - 1] * lanes;
            const ptrdiff_t head = logsig_starts[i - 1] * lanes, tail = logsig_starts[n - i - 1] * lanes;
            for (ptrdiff_t u = 0; u < logsig_powers[i]; u++)
                logsig_series_pull(lanes, count, outer + u * step, x + head + u * lanes, below + tail,
                                   pulled + head + u * lanes, d_below + tail);
        }
}

/* All stages from the first that is asked for, the last one first in memory; returns the place of the first. */
LOGSIG_INLINE double *logsig_series_forth(const int lanes, const double *c, int first, const double *x, double *stages)
{
    double *below = stages;
    for (int k = LOGSIG_DEGREE - 1; k >= first; k--) {
        double *const stage = k == LOGSIG_DEGREE - 1 ? stages : below + logsig_starts[LOGSIG_DEGREE - k - 1] * lanes;
        logsig_series_stage(lanes, LOGSIG_DEGREE - k, c[k + 1], x, below, stage);
        below = stage;
    }
    return below;
}

/* The form on x that `form` on the series induces, in `pulled`; `form` and `room` are overwritten. */
LOGSIG_INLINE void logsig_series_back(const int lanes, const double *c, const double *x, double *stages, double *form,
                                      double *room, double *pulled)
{
    double *below = logsig_series_forth(lanes, c, 1, x, stages);
    memset(pulled, 0, (size_t)(LOGSIG_WORDS * lanes) * sizeof(double));
    for (int k = 0; k < LOGSIG_DEGREE; k++) {
        double *const last = form;
        logsig_series_pull_stage(lanes, LOGSIG_DEGREE - k, c[k + 1], x, below, form, pulled, room);
        form = room;
        room = last;
        if (k + 2 < LOGSIG_DEGREE) below -= logsig_starts[LOGSIG_DEGREE - k - 2] * lanes;
    }
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

#ifdef __GNUC__
typedef float logsig_eight_floats __attribute__((vector_size(32), aligned(4), may_alias));
typedef double logsig_eight_doubles __attribute__((vector_size(64), aligned(8), may_alias));
#endif

LOGSIG_INLINE void logsig_series_widen(const float *from, ptrdiff_t n, double *to)
{
    ptrdiff_t k = 0;
#if LOGSIG_SHUFFLE
    for (; k + 8 <= n; k += 8)
        *(logsig_eight_doubles *)(to + k) =
            __builtin_convertvector(*(const logsig_eight_floats *)(from + k), logsig_eight_doubles);
#endif
    for (; k < n; k++) to[k] = from[k];
}

LOGSIG_INLINE void logsig_series_round(const double *from, ptrdiff_t n, float *to)
{
    ptrdiff_t k = 0;
#if LOGSIG_SHUFFLE
    for (; k + 8 <= n; k += 8)
        *(logsig_eight_floats *)(to + k) =
            __builtin_convertvector(*(const logsig_eight_doubles *)(from + k), logsig_eight_floats);
#endif
    for (; k < n; k++) to[k] = (float)from[k];
}

/* One row, without what stands for the empty word: where it lies, or in `room`. */
LOGSIG_INLINE const double *logsig_series_fetch(const logsig_series_rows *rows, int single, ptrdiff_t row, double *room)
{
    const ptrdiff_t at = row * rows->stride + rows->scalar;
    if (!single) return (const double *)rows->data + at;
    logsig_series_widen((const float *)rows->data + at, rows->columns, room);
    return room;
}

LOGSIG_INLINE void logsig_series_write(const logsig_series_rows *rows, int single, ptrdiff_t row, double constant,
                                       const double *values)
{
    const ptrdiff_t at = row * rows->stride;
    if (single) {
        float *const to = (float *)rows->data + at;
        if (rows->scalar) to[0] = (float)constant;
        logsig_series_round(values, rows->columns, to + rows->scalar);
    } else {
        double *const to = (double *)rows->data + at;
        if (rows->scalar) to[0] = constant;
        memcpy(to + rows->scalar, values, (size_t)rows->columns * sizeof(double));
    }
}

/* Maps one after the other, in two rooms; back: one that selects is transposed, from as many numbers as there are words. */
LOGSIG_INLINE const double *logsig_series_apply(const logsig_map *maps, int n_maps, int back, const double *x,
                                                double *room, double *other)
{
    for (int m = 0; m < n_maps; m++) {
        const logsig_map *const map = &maps[m];
        if (!map->coefficients && back) {
            memset(room, 0, (size_t)LOGSIG_WORDS * sizeof(double));
            for (ptrdiff_t k = 0; k < map->rows; k++) room[map->indices[k]] = x[k];
        } else if (!map->coefficients) {
            for (ptrdiff_t k = 0; k < map->rows; k++) room[k] = x[map->indices[k]];
        } else {
            for (ptrdiff_t k = 0; k < map->rows; k++) logsig_mapped(map, x, k, &room[k]);
        }
        double *const last = room;
        x = last;
        room = other;
        other = last;
    }
    return x;
}

/* Numbers of rows to vectors, and back. */
LOGSIG_INLINE void logsig_series_spread(const double *const *rows, logsig_vec *to)
{
    ptrdiff_t k = 0;
    for (; k + LOGSIG_LANES <= LOGSIG_WORDS; k += LOGSIG_LANES) {
        logsig_vec tile[LOGSIG_LANES];
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = logsig_load(rows[i] + k);
        logsig_transpose(tile);
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_LANES; i++) to[k + i] = tile[i];
    }
    for (; k < LOGSIG_WORDS; k++)
        for (int i = 0; i < LOGSIG_LANES; i++) ((double *)(to + k))[i] = rows[i][k];
}

LOGSIG_INLINE void logsig_series_gather(const logsig_vec *from, double *rows)
{
    ptrdiff_t k = 0;
    for (; k + LOGSIG_LANES <= LOGSIG_WORDS; k += LOGSIG_LANES) {
        logsig_vec tile[LOGSIG_LANES];
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = from[k + i];
        logsig_transpose(tile);
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_LANES; i++) logsig_store(rows + i * LOGSIG_WORDS + k, tile[i]);
    }
    for (; k < LOGSIG_WORDS; k++)
        for (int i = 0; i < LOGSIG_LANES; i++) rows[i * LOGSIG_WORDS + k] = ((const double *)(from + k))[i];
}

/* Rows in expanded coordinates; room: for as many and two more. One row may stay where it is: the result tells where. */
LOGSIG_INLINE const double *logsig_series_take(const int lanes, const logsig_series_job *job,
                                               const logsig_series_rows *rows, const logsig_map *maps, int n_maps,
                                               int back, ptrdiff_t row, double *room, double *to)
{
    const double *found[LOGSIG_LANES];
    for (int lane = 0; lane < lanes; lane++) {
        double *const own = room + (lane + 2) * LOGSIG_WORDS;
        const double *const given = logsig_series_fetch(rows, job->single, row + lane, own);
        found[lane] = logsig_series_apply(maps, n_maps, back, given, room, room + LOGSIG_WORDS);
        if (n_maps) found[lane] = memcpy(own, found[lane], (size_t)LOGSIG_WORDS * sizeof(double));
    }
    if (lanes == 1) return memcpy(to, found[0], (size_t)LOGSIG_WORDS * sizeof(double));
    logsig_series_spread(found, (logsig_vec *)to);
    return to;
}

LOGSIG_INLINE void logsig_series_give(const int lanes, const logsig_series_job *job, ptrdiff_t row, const double *values,
                                      double *room)
{
    double *const own = room + 2 * LOGSIG_WORDS;
    if (lanes > 1) logsig_series_gather((const logsig_vec *)values, own);
    for (int lane = 0; lane < lanes; lane++) {
        const double *const y = logsig_series_apply(job->after, job->n_after, 0, lanes > 1 ? own + lane * LOGSIG_WORDS : values,
                                                    room, room + LOGSIG_WORDS);
        logsig_series_write(&job->out, job->single, row + lane, job->constant, y);
    }
}

/* As many rows as lanes. */
LOGSIG_INLINE void logsig_series_rows_at(const int lanes, const logsig_series_job *job, ptrdiff_t row, double *frame)
{
    const ptrdiff_t words = LOGSIG_WORDS * lanes;
    double *const x = frame, *const stages = x + words, *const form = stages + LOGSIG_STAGES * lanes;
    double *const other = form + words, *const pulled = other + words, *const room = pulled + words;
    logsig_series_take(lanes, job, &job->x, job->before, job->n_before, 0, row, room, x);
    if (!job->form.data) {
        const double *const result = logsig_series_forth(lanes, job->c, 0, x, stages);
        logsig_series_give(lanes, job, row, result, room);
        return;
    }
    logsig_series_take(lanes, job, &job->form, job->pulling, job->n_pulling, 1, row, room, form);
    logsig_series_back(lanes, job->c, x, stages, form, other, pulled);
    logsig_series_give(lanes, job, row, pulled, room);
}

LOGSIG_NOINLINE void logsig_series_one(const logsig_series_job *job, ptrdiff_t row, double *frame)
{
    logsig_series_rows_at(1, job, row, frame);
}

#if LOGSIG_SERIES_IN_LANES && LOGSIG_LANES > 1
LOGSIG_NOINLINE void logsig_series_block(const logsig_series_job *job, ptrdiff_t row, double *frame)
{
    logsig_series_rows_at(LOGSIG_LANES, job, row, frame);
}
#endif

LOGSIG_NOINLINE void logsig_series_run(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_series_job *const job = given;
#if LOGSIG_SERIES_IN_LANES && LOGSIG_LANES > 1
    for (; row + LOGSIG_LANES <= end; row += LOGSIG_LANES) logsig_series_block(job, row, (double *)frame);
#endif
    for (; row < end; row++) logsig_series_one(job, row, (double *)frame);
}

/* The maps of a call. Of a logarithm they are applied to the series, the first one selects words; of its gradient, to the form,
 * and the last one is that selection. Of an exponential they are applied to x; its gradient has the transposed ones too, in
 * the order in which they are applied. Without maps all coordinates are expanded, and have a scalar term or not together. */
LOGSIG_INLINE logsig_series_job logsig_series_job_of(const logsig_series_call *call, const double *c)
{
    const int words = (int)LOGSIG_WORDS, back = call->d_y != NULL, n = call->n_maps, half = n / 2, scalar = call->scalar_term;
    const logsig_series_rows expanded = {NULL, 0, words, scalar};
    logsig_series_job job = {.c = c, .single = call->single, .x = expanded, .form = expanded, .out = expanded};
    if (n && call->logarithm && back) {
        job.pulling = call->maps;
        job.n_pulling = n;
        job.form.columns = (int)call->maps[n - 1].rows;
        job.form.scalar = 0;
    } else if (n && call->logarithm) {
        job.after = call->maps;
        job.n_after = n;
        job.out.columns = (int)call->maps[n - 1].rows;
        job.out.scalar = 0;
    } else if (n) {
        job.before = call->maps;
        job.n_before = back ? half : n;
        job.x.columns = (int)call->maps[0].columns;
        job.x.scalar = 0;
        if (back) {
            job.after = call->maps + half;
            job.n_after = half;
            job.out.columns = job.x.columns;
            job.out.scalar = 0;
        }
    }
    job.constant = !call->logarithm && !back;
    job.x.data = call->x;
    job.x.stride = call->x_stride;
    job.form.data = call->d_y;
    job.form.stride = call->d_y_stride;
    job.out.data = call->out;
    job.out.stride = call->out_stride;
    return job;
}

#if LOGSIG_SERIES_IN_LANES
#define LOGSIG_SERIES_FRAME (2 * LOGSIG_WORDS / LOGSIG_LANES + 1 + 5 * LOGSIG_WORDS + LOGSIG_STAGES)
#else
#define LOGSIG_SERIES_FRAME ((7 * LOGSIG_WORDS + LOGSIG_STAGES) / LOGSIG_LANES + 1)
#endif

#endif
