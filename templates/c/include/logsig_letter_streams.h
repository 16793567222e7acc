/* Streams of degree two with many letters: a row per step, made of the row before in loops over the letters.
 *
 * Every path is walked by itself, so that a number depends on its own path only. Beyond its end a path stands still.
 */
#ifndef LOGSIG_LETTER_STREAMS_H
#define LOGSIG_LETTER_STREAMS_H

#include "logsig_letters.h"
#include "logsig_paths.h"

/* Vectors of a row, and of a frame beside those of the row function: displacements, a row of zeros; backward: derivatives
 * by displacements and by the state as well. */
#define LOGSIG_LETTERS_ROW ((int)((LOGSIG_LETTERS_SIZE - 1) / LOGSIG_LANES + 1))
#define LOGSIG_STREAM_FRAME (LOGSIG_LETTERS_VECTORS + LOGSIG_LETTERS_ROW)
#define LOGSIG_STREAM_BACK_FRAME (2 * LOGSIG_STREAM_FRAME + LOGSIG_LETTERS_VECTORS)

/* step: the next row of state and displacement; backward: the derivatives by these two, of which the first replaces the
 * derivative by the next row. */
typedef struct {
    logsig_path_job paths;
    logsig_letters_fn step;
} logsig_letters_stream;

LOGSIG_INLINE ptrdiff_t logsig_start_of(const logsig_path_operand *path, ptrdiff_t row)
{
    return path->starts ? path->starts[row] : row * path->stride;
}

/* Row `row` of an operand. */
LOGSIG_INLINE logsig_real *logsig_row_of(const logsig_path_job *job, int operand, ptrdiff_t row)
{
    return (logsig_real *)job->operands[operand].data + row * job->operands[operand].stride;
}

/* The displacement from a point to the next one, or none. */
LOGSIG_INLINE void logsig_load_step(const logsig_real *x, int there, logsig_vec *v)
{
    for (int c = 0; c < LOGSIG_LETTERS_VECTORS; c++)
        v[c] = there ? LOGSIG_SUB(logsig_load_letters(x + LOGSIG_LETTERS, c), logsig_load_letters(x, c)) : LOGSIG_SET1(0);
}

/* Operands: out, one row per step; if there is a second one: the log-signature of what came before. */
LOGSIG_NOINLINE void logsig_walk_letters(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_letters_stream *const stream = given;
    const logsig_path_job *const job = &stream->paths;
    logsig_vec *const v = frame, *const zeros = v + LOGSIG_LETTERS_VECTORS;
    logsig_clear(zeros, LOGSIG_LETTERS_ROW);
    for (; row < end; row++) {
        const logsig_real *x = job->path.data + logsig_start_of(&job->path, row);
        const ptrdiff_t points = job->lengths ? job->lengths[row] : job->length;
        logsig_real *rows[3] = {(logsig_real *)zeros, (logsig_real *)v, logsig_row_of(job, 0, row)};
        if (job->n_operands > 1) rows[0] = logsig_row_of(job, 1, row);
        for (ptrdiff_t t = 0; t < job->length - 1; t++, x += LOGSIG_LETTERS) {
            logsig_load_step(x, t + 1 < points, v);
            stream->step(rows, frame + LOGSIG_STREAM_FRAME);
            rows[0] = rows[2];
            rows[2] += LOGSIG_LETTERS_SIZE;
        }
    }
}

/* Operands: d_out and the stream itself, one row per step; with `initial`, what came before, and its derivative. */
LOGSIG_NOINLINE void logsig_walk_letters_back(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_letters_stream *const stream = given;
    const logsig_path_job *const job = &stream->paths;
    logsig_vec *const v = frame, *const dv = v + LOGSIG_LETTERS_VECTORS, *const after = dv + LOGSIG_LETTERS_VECTORS;
    logsig_vec *const zeros = after + LOGSIG_LETTERS_VECTORS, *const d_state = zeros + LOGSIG_LETTERS_ROW;
    logsig_clear(zeros, LOGSIG_LETTERS_ROW);
    for (; row < end; row++) {
        const logsig_real *const x = job->path.data + logsig_start_of(&job->path, row);
        logsig_real *const d_x = (logsig_real *)job->d_path.data + logsig_start_of(&job->d_path, row);
        const ptrdiff_t points = job->lengths ? job->lengths[row] : job->length;
        logsig_real *rows[5] = {(logsig_real *)d_state, NULL, (logsig_real *)v, (logsig_real *)d_state, (logsig_real *)dv};
        logsig_clear(after, LOGSIG_LETTERS_VECTORS);
        logsig_clear(d_state, LOGSIG_LETTERS_ROW);
        for (ptrdiff_t t = job->length - 2; t >= 0; t--) {
            const logsig_real *const d_out = logsig_row_of(job, 0, row) + t * LOGSIG_LETTERS_SIZE;
            const int there = t + 1 < points;
            for (ptrdiff_t k = 0, at = 0; k < LOGSIG_LETTERS_ROW; k++, at += LOGSIG_LANES)
                d_state[k] = LOGSIG_ADD(d_state[k], logsig_load_some(d_out + at, (int)(LOGSIG_LETTERS_SIZE - at)));
            rows[1] = t               ? logsig_row_of(job, 1, row) + (t - 1) * LOGSIG_LETTERS_SIZE
                      : job->initial ? logsig_row_of(job, 2, row)
                                     : (logsig_real *)zeros;
            logsig_load_step(x + t * LOGSIG_LETTERS, there, v);
            stream->step(rows, frame + LOGSIG_STREAM_BACK_FRAME);
            for (int c = 0; c < LOGSIG_LETTERS_VECTORS; c++) {
                const logsig_vec found = there ? logsig_load_letters((logsig_real *)dv, c) : LOGSIG_SET1(0);
                if (there) logsig_store_letters(d_x + (t + 1) * LOGSIG_LETTERS, c, LOGSIG_SUB(found, after[c]));
                after[c] = found;
            }
        }
        for (int c = 0; points > 0 && c < LOGSIG_LETTERS_VECTORS; c++)
            logsig_store_letters(d_x, c, LOGSIG_SUB(LOGSIG_SET1(0), after[c]));
        if (job->initial)
            memcpy(logsig_row_of(job, 3, row), d_state, (size_t)LOGSIG_LETTERS_SIZE * sizeof(logsig_real));
    }
}

#endif
