/* Windows that overlap, degree two with many letters: the scheme of logsig_sliding.h, a unit at a time.
 *
 * Suffixes and prefixes are rows, and products of rows are loops over the letters; the results are those of units in lanes,
 * bit for bit. A product is none of the rows it is made of, so that a chain of them takes two rows in turns.
 */
#ifndef LOGSIG_LETTER_WINDOWS_H
#define LOGSIG_LETTER_WINDOWS_H

#include "logsig_letter_streams.h"
#include "logsig_sliding.h"

/* Row functions: z of l and k, or of l and a displacement; backward dl and dk of g, l and k, of which the words of l and k
 * are not read, and dl may be g or k. */
typedef struct {
    logsig_chain chain;
    logsig_letters_fn join, join_left, combine, join_back, join_left_back, combine_back;
    int room; /* vectors they need */
} logsig_letters_chain;

/* A unit, and where its rows are. */
typedef struct {
    const logsig_sliding *job;
    const logsig_letters_chain *chain;
    logsig_units taken; /* in lane 0 */
    ptrdiff_t number;   /* within the span */
    ptrdiff_t each;     /* steps from one suffix or prefix that is kept to the next */
    logsig_vec *v, *work;
    logsig_real *suffixes, *prefixes, *spare[3];
} logsig_letters_unit;

#define LOGSIG_ROW_NUMBERS ((ptrdiff_t)LOGSIG_LETTERS_ROW * LOGSIG_LANES)

/* Suffixes that are kept, without the middle. */
LOGSIG_INLINE ptrdiff_t logsig_kept(const logsig_sliding *job)
{
    return job->backward && job->scheme.joined ? job->scheme.steps : job->scheme.windows;
}

LOGSIG_UNUSED static int logsig_letters_frame(const void *given)
{
    const logsig_sliding *const job = given;
    const ptrdiff_t kept = logsig_kept(job), rows = kept + 1 + (job->backward ? kept : 2) + 3;
    return (int)(rows * LOGSIG_LETTERS_ROW) + LOGSIG_LETTERS_VECTORS + ((const logsig_letters_chain *)job->chain)->room;
}

LOGSIG_INLINE void logsig_take_letters(const logsig_sliding *job, logsig_letters_unit *unit, logsig_vec *frame,
                                       ptrdiff_t number)
{
    const ptrdiff_t kept = logsig_kept(job);
    unit->job = job;
    unit->chain = (const logsig_letters_chain *)job->chain;
    logsig_take_unit(job, &unit->taken, 0, number);
    unit->number = unit->taken.unit[0];
    unit->each = job->scheme.joined && !job->backward ? job->request->call->step : 1;
    unit->v = frame;
    unit->work = frame + LOGSIG_LETTERS_VECTORS;
    unit->suffixes = (logsig_real *)(unit->work + unit->chain->room);
    unit->prefixes = unit->suffixes + (kept + 1) * LOGSIG_ROW_NUMBERS;
    unit->spare[0] = unit->prefixes + (job->backward ? kept : 2) * LOGSIG_ROW_NUMBERS;
    unit->spare[1] = unit->spare[0] + LOGSIG_ROW_NUMBERS;
    unit->spare[2] = unit->spare[1] + LOGSIG_ROW_NUMBERS;
}

LOGSIG_INLINE void logsig_copy_row(logsig_real *to, const logsig_real *from)
{
    memcpy(to, from, (size_t)LOGSIG_LETTERS_SIZE * sizeof(logsig_real));
}

LOGSIG_INLINE void logsig_clear_row(logsig_real *to)
{
    memset(to, 0, (size_t)LOGSIG_LETTERS_SIZE * sizeof(logsig_real));
}

/* Row t of `of` for each unit. */
LOGSIG_INLINE logsig_real *logsig_unit_row(const logsig_letters_unit *unit, logsig_real *rows, ptrdiff_t of, ptrdiff_t t)
{
    return rows + (unit->number * of + t) * LOGSIG_LETTERS_SIZE;
}

LOGSIG_INLINE void logsig_multiply_rows(const logsig_letters_unit *unit, logsig_letters_fn product, const logsig_real *l,
                                        const logsig_real *k, logsig_real *z)
{
    logsig_real *const rows[3] = {(logsig_real *)l, (logsig_real *)k, z};
    product(rows, unit->work);
}

LOGSIG_INLINE void logsig_multiply_back(const logsig_letters_unit *unit, logsig_letters_fn back, const logsig_real *g,
                                        const logsig_real *l, const logsig_real *k, logsig_real *dl, logsig_real *dk)
{
    logsig_real *const rows[5] = {(logsig_real *)g, (logsig_real *)l, (logsig_real *)k, dl, dk};
    back(rows, unit->work);
}

LOGSIG_INLINE void logsig_step_of(const logsig_letters_unit *unit, const logsig_walk *walk, ptrdiff_t t)
{
    logsig_load_step(walk->lane[0] + t * LOGSIG_LETTERS, t + 1 < walk->points[0], unit->v);
}

/* The suffixes that are kept, the longest first; after the last of them the middle. */
LOGSIG_INLINE void logsig_letters_suffixes(const logsig_letters_unit *unit)
{
    const logsig_scheme *const scheme = &unit->job->scheme;
    const ptrdiff_t steps = scheme->joined ? scheme->steps : scheme->windows;
    logsig_real *const middle = unit->taken.span[0].middle;
    logsig_real *s = unit->suffixes + steps / unit->each * LOGSIG_ROW_NUMBERS;
    if (middle)
        logsig_copy_row(s, logsig_unit_row(unit, middle, 1, 0));
    else
        logsig_clear_row(s);
    for (ptrdiff_t t = steps - 1; t >= 0; t--) {
        logsig_real *const kept = unit->suffixes + t / unit->each * LOGSIG_ROW_NUMBERS;
        logsig_real *const next = t % unit->each == 0 ? kept : s == unit->spare[0] ? unit->spare[1] : unit->spare[0];
        if (scheme->joined) {
            logsig_step_of(unit, &unit->taken.starts, t);
            logsig_multiply_rows(unit, unit->chain->join_left, s, (logsig_real *)unit->v, next);
        } else {
            const logsig_real *const start = logsig_unit_row(unit, unit->taken.span[0].starts, steps, t);
            if (t < steps - 1 || middle)
                logsig_multiply_rows(unit, unit->chain->combine, start, s, next);
            else
                logsig_copy_row(next, start);
        }
        s = next;
    }
}

/* The prefix after part t of those between ends: a step, or the product of as many as windows are apart. */
LOGSIG_INLINE void logsig_letters_prefix(const logsig_letters_unit *unit, ptrdiff_t t, const logsig_real *prefix,
                                         logsig_real *next)
{
    if (unit->job->scheme.joined) {
        logsig_step_of(unit, &unit->taken.ends, t);
        logsig_multiply_rows(unit, unit->chain->join, prefix, (logsig_real *)unit->v, next);
        return;
    }
    const logsig_real *const end = logsig_unit_row(unit, unit->taken.span[0].ends, unit->job->scheme.windows, t);
    if (t)
        logsig_multiply_rows(unit, unit->chain->combine, prefix, end, next);
    else
        logsig_copy_row(next, end);
}

LOGSIG_NOINLINE void logsig_slide_letters(const void *given, logsig_vec *frame, ptrdiff_t number, ptrdiff_t end)
{
    const logsig_sliding *const job = given;
    for (; number < end; number++) {
        logsig_letters_unit unit;
        logsig_take_letters(job, &unit, frame, number);
        const ptrdiff_t windows = unit.taken.windows[0];
        logsig_real *prefix = unit.prefixes, *next = prefix + LOGSIG_ROW_NUMBERS;
        if (!windows) continue;
        logsig_letters_suffixes(&unit);
        logsig_clear_row(prefix);
        for (ptrdiff_t t = 0; t < windows; t++) {
            logsig_multiply_rows(&unit, unit.chain->combine, unit.suffixes + t * LOGSIG_ROW_NUMBERS, prefix,
                                 (logsig_real *)unit.taken.row[0] + t * unit.taken.row_stride);
            for (ptrdiff_t k = 0; t + 1 < windows && k < unit.each; k++) {
                logsig_real *const last = prefix;
                logsig_letters_prefix(&unit, t * unit.each + k, prefix, next);
                prefix = next;
                next = last;
            }
        }
    }
}

LOGSIG_INLINE void logsig_add_row(logsig_real *sum, const logsig_real *x)
{
    for (ptrdiff_t k = 0; k < LOGSIG_ROW_NUMBERS; k += LOGSIG_LANES)
        *(logsig_vec *)(sum + k) = LOGSIG_ADD(*(logsig_vec *)(sum + k), *(const logsig_vec *)(x + k));
}

/* Where the derivative by displacement t of the steps between starts, or ends, goes. */
LOGSIG_INLINE logsig_real *logsig_d_step(const logsig_letters_unit *unit, logsig_real *which, ptrdiff_t t)
{
    return which + (unit->number * unit->job->scheme.steps + t) * LOGSIG_LETTERS;
}

/* From prefix t + 1 to prefix t, whose derivative takes the place of that one's, and to what is between them. */
LOGSIG_INLINE void logsig_letters_prefix_back(const logsig_letters_unit *unit, ptrdiff_t t, const logsig_real *prefix,
                                              logsig_real *d_prefix)
{
    const logsig_span *const span = &unit->taken.span[0];
    const ptrdiff_t m = unit->job->scheme.windows;
    if (unit->job->scheme.joined) {
        logsig_step_of(unit, &unit->taken.ends, t);
        logsig_multiply_back(unit, unit->chain->join_back, d_prefix, prefix, (logsig_real *)unit->v, d_prefix,
                             logsig_d_step(unit, span->d_ends, t));
    } else if (t) {
        logsig_multiply_back(unit, unit->chain->combine_back, d_prefix, prefix, logsig_unit_row(unit, span->ends, m, t),
                             d_prefix, logsig_unit_row(unit, span->d_ends, m, t));
    } else {
        logsig_copy_row(logsig_unit_row(unit, span->d_ends, m, 0), d_prefix);
    }
}

/* From the last window to the first: the product, then the prefix back. What is found of a suffix takes the place of the
 * prefix of the same window. */
LOGSIG_INLINE void logsig_letters_to_chains(const logsig_letters_unit *unit)
{
    const logsig_sliding *const job = unit->job;
    const ptrdiff_t m = job->scheme.windows, each = job->scheme.joined ? job->request->call->step : 1;
    logsig_real *const d_prefix = unit->spare[0], *const found = unit->spare[1];
    logsig_clear((logsig_vec *)d_prefix, LOGSIG_LETTERS_ROW);
    if (!job->scheme.joined) /* the last of them is not used */
        logsig_clear_row(logsig_unit_row(unit, unit->taken.span[0].d_ends, m, m - 1));
    for (ptrdiff_t t = (m - 1) * each; t >= 0; t--) {
        logsig_real *const prefix = unit->prefixes + t * LOGSIG_ROW_NUMBERS;
        const logsig_real *const d_out =
            t / each < unit->taken.windows[0] ? unit->taken.row[0] + t / each * unit->taken.row_stride : job->idle;
        if (t < (m - 1) * each) logsig_letters_prefix_back(unit, t, prefix, d_prefix);
        if (t % each) continue;
        logsig_multiply_back(unit, unit->chain->combine_back, d_out, unit->suffixes + t * LOGSIG_ROW_NUMBERS, prefix, prefix,
                             found);
        logsig_add_row(d_prefix, found);
    }
}

/* From the longest suffix to the middle. */
LOGSIG_INLINE void logsig_letters_suffixes_back(const logsig_letters_unit *unit)
{
    const logsig_span *const span = &unit->taken.span[0];
    const ptrdiff_t m = unit->job->scheme.windows, each = unit->job->scheme.joined ? unit->job->request->call->step : 1;
    logsig_real *sum = unit->spare[0], *found = unit->spare[1];
    logsig_clear((logsig_vec *)sum, LOGSIG_LETTERS_ROW);
    for (ptrdiff_t t = 0; t < m * each; t++) {
        const logsig_real *const next = unit->suffixes + (t + 1) * LOGSIG_ROW_NUMBERS;
        if (t % each == 0) logsig_add_row(sum, unit->prefixes + t * LOGSIG_ROW_NUMBERS);
        if (unit->job->scheme.joined) {
            logsig_step_of(unit, &unit->taken.starts, t);
            logsig_multiply_back(unit, unit->chain->join_left_back, sum, next, (logsig_real *)unit->v, sum,
                                 logsig_d_step(unit, span->d_starts, t));
        } else if (t < m - 1 || span->middle) {
            logsig_real *const swap = sum;
            logsig_multiply_back(unit, unit->chain->combine_back, sum, logsig_unit_row(unit, span->starts, m, t), next,
                                 logsig_unit_row(unit, span->d_starts, m, t), found);
            sum = found;
            found = swap;
        } else {
            logsig_copy_row(logsig_unit_row(unit, span->d_starts, m, t), sum);
        }
    }
    if (span->middle) logsig_copy_row(logsig_unit_row(unit, span->d_middle, 1, 0), sum);
}

LOGSIG_NOINLINE void logsig_slide_letters_back(const void *given, logsig_vec *frame, ptrdiff_t number, ptrdiff_t end)
{
    const logsig_sliding *const job = given;
    const ptrdiff_t steps = job->scheme.steps;
    const ptrdiff_t last = (job->scheme.windows - 1) * (job->scheme.joined ? job->request->call->step : 1);
    for (; number < end; number++) {
        logsig_letters_unit unit;
        logsig_take_letters(job, &unit, frame, number);
        logsig_letters_suffixes(&unit);
        logsig_clear((logsig_vec *)unit.prefixes, LOGSIG_LETTERS_ROW);
        for (ptrdiff_t t = 0; t < last; t++)
            logsig_letters_prefix(&unit, t, unit.prefixes + t * LOGSIG_ROW_NUMBERS,
                                  unit.prefixes + (t + 1) * LOGSIG_ROW_NUMBERS);
        logsig_letters_to_chains(&unit);
        logsig_letters_suffixes_back(&unit);
        if (job->scheme.joined)
            memset(logsig_d_step(&unit, unit.taken.span[0].d_ends, last), 0,
                   (size_t)((steps - last) * LOGSIG_LETTERS) * sizeof(logsig_real));
    }
}

#endif
