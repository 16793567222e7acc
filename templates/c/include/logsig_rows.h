/* From rows to lanes and back: everything between the arrays a caller passes and the vectors a kernel works on.
 *
 * A *block* is LANES rows, one per lane. A generated block function asks for the first columns of an input with
 * logsig_fetch(), computes with vectors at[column], and hands finished columns of an output to logsig_flush(). Both
 * move *tiles* of LANES rows x LANES columns, so the rows are read and written once and the kernel may start before
 * the last column has been read. logsig_run() cuts a batch into blocks.
 *
 * Which rows share a block decides the speed. Row lengths are rarely a multiple of a vector, so for neighbouring rows
 * nearly every access would straddle two cache lines, which costs more than the whole transposition. But rows that lie
 * `spread` apart, with spread * stride a multiple of LANES, all begin at the same place within a vector (their
 * *phase*): then tiles can be laid so that every access is aligned in every lane, and only the first and the last tile
 * of a row are partial. Batches are processed in groups of spread * LANES rows for that; what remains at the end is
 * done with neighbouring rows. Which code computes a row never changes its result.
 */
#ifndef LOGSIG_ROWS_H
#define LOGSIG_ROWS_H

#include <errno.h>
#include <stdlib.h>

#include "logsig_simd.h"

/* Rows of up to this many columns are not worth aligning. */
#ifndef LOGSIG_NARROW
#define LOGSIG_NARROW (2 * LOGSIG_LANES)
#endif

/* A frame of up to this many bytes lives on the stack. */
#ifndef LOGSIG_STACK_BYTES
#define LOGSIG_STACK_BYTES (128 * 1024)
#endif

#define LOGSIG_MAX_OPERANDS 16

/* Where the index-th operand begins, when `offset` vectors of columns precede it: a tile that sticks out of a row on
 * either side needs room there. */
#define LOGSIG_HOME(offset, index) ((offset) + (2 * (index) + 1) * LOGSIG_LANES)

/* An array of rows: row b starts at data + b * stride (counted in numbers; any sign) and has `columns` columns; its
 * vectors go to, or come from, frame[home ...]. An output is passed with its const cast away. */
typedef struct {
    const logsig_real *data;
    ptrdiff_t stride;
    int columns;
    int home;
} logsig_operand;

/* One operand in the block at hand. */
typedef struct {
    logsig_vec *at; /* at[k]: column k of every lane */
    int columns;
    int next; /* column where the next tile begins; the first begins at minus the phase */
    const logsig_real *lane[LOGSIG_LANES];
} logsig_rows;

typedef void (*logsig_block_fn)(logsig_rows *rows, logsig_vec *frame);

/* ---- tiles ----------------------------------------------------------------------------------------------------- */

LOGSIG_NOINLINE void logsig_fetch_tiles(logsig_rows *rows, int upto)
{
    const int columns = rows->columns;
    int next = rows->next;
    do {
        logsig_vec tile[LOGSIG_LANES];
        if (LOGSIG_LIKELY(next >= 0 && next + LOGSIG_LANES <= columns)) {
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = logsig_load(rows->lane[i] + next);
        } else {
            const logsig_part part = logsig_part_of(next < 0 ? -next : 0,
                                                    columns - next < LOGSIG_LANES ? columns - next : LOGSIG_LANES);
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = logsig_load_part(rows->lane[i] + next, part);
        }
        logsig_transpose(tile);
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_LANES; i++) rows->at[next + i] = tile[i];
        next += LOGSIG_LANES;
    } while (next < upto);
    rows->next = next;
}

LOGSIG_NOINLINE void logsig_flush_tiles(logsig_rows *rows, int upto)
{
    const int columns = rows->columns;
    int next = rows->next;
    do {
        logsig_vec tile[LOGSIG_LANES];
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = rows->at[next + i];
        logsig_transpose(tile);
        if (LOGSIG_LIKELY(next >= 0 && next + LOGSIG_LANES <= columns)) {
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) logsig_store((logsig_real *)rows->lane[i] + next, tile[i]);
        } else {
            const logsig_part part = logsig_part_of(next < 0 ? -next : 0,
                                                    columns - next < LOGSIG_LANES ? columns - next : LOGSIG_LANES);
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++)
                logsig_store_part((logsig_real *)rows->lane[i] + next, part, tile[i]);
        }
        next += LOGSIG_LANES;
    } while (next + LOGSIG_LANES <= upto || (upto == columns && next < columns));
    rows->next = next;
}

/* Input: from now on at[0 .. upto-1] hold their columns. May also fill up to LANES vectors beyond, and before at[0]. */
LOGSIG_INLINE void logsig_fetch(logsig_rows *rows, int upto)
{
    if (rows->next < upto) logsig_fetch_tiles(rows, upto);
}

/* Output: at[0 .. upto-1] are final; whole tiles of them go to memory, with upto == columns everything does. */
LOGSIG_INLINE void logsig_flush(logsig_rows *rows, int upto)
{
    const int next = rows->next;
    if (next + LOGSIG_LANES <= upto || (upto == rows->columns && next < upto)) logsig_flush_tiles(rows, upto);
}

/* ---- blocks ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const logsig_operand *operands;
    int n_operands;
    int frame_vectors;
    int spread; /* rows between the lanes of an aligned block */
    logsig_block_fn block;
} logsig_job;

/* The block of rows first, first + spread, ...: `live` of them; spare lanes repeat the last one, bytes and all. */
LOGSIG_INLINE void logsig_run_block(const logsig_job *job, logsig_rows *rows, logsig_vec *frame, ptrdiff_t first,
                                    ptrdiff_t spread, int live, int aligned)
{
    for (int k = 0; k < job->n_operands; k++) {
        const logsig_operand *const operand = &job->operands[k];
        const logsig_real *const start = operand->data + first * operand->stride;
        const ptrdiff_t step = spread * operand->stride;
        int phase = 0;
        if (aligned && operand->columns > LOGSIG_NARROW)
            phase = (int)((uintptr_t)start / sizeof(logsig_real) % LOGSIG_LANES);
        rows[k].at = frame + operand->home;
        rows[k].columns = operand->columns;
        rows[k].next = -phase;
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_LANES; i++) rows[k].lane[i] = start + (i < live ? i : live - 1) * step;
    }
    job->block(rows, frame);
}

LOGSIG_NOINLINE void logsig_run_rows(const logsig_job *job, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    logsig_rows rows[LOGSIG_MAX_OPERANDS];
    const int spread = job->spread;
    for (; end - row >= spread * LOGSIG_LANES; row += spread * LOGSIG_LANES)
        for (int p = 0; p < spread; p++) logsig_run_block(job, rows, frame, row + p, spread, LOGSIG_LANES, 1);
    for (; row < end; row += LOGSIG_LANES)
        logsig_run_block(job, rows, frame, row, 1, end - row < LOGSIG_LANES ? (int)(end - row) : LOGSIG_LANES, 0);
}

LOGSIG_NOINLINE int logsig_run_on_stack(const logsig_job *job, ptrdiff_t row, ptrdiff_t end)
{
#ifdef __GNUC__
    logsig_vec *const frame = (logsig_vec *)__builtin_alloca_with_align(
        (size_t)job->frame_vectors * sizeof(logsig_vec), 8 * LOGSIG_VECTOR_BYTES);
#else
    logsig_vec frame[LOGSIG_STACK_BYTES / LOGSIG_VECTOR_BYTES];
#endif
    logsig_run_rows(job, frame, row, end);
    return 0;
}

LOGSIG_NOINLINE int logsig_run_on_heap(const logsig_job *job, ptrdiff_t row, ptrdiff_t end)
{
    void *const memory = malloc((size_t)job->frame_vectors * sizeof(logsig_vec) + LOGSIG_VECTOR_BYTES);
    if (!memory) return ENOMEM;
    const uintptr_t beyond = (uintptr_t)memory + LOGSIG_VECTOR_BYTES;
    logsig_run_rows(job, (logsig_vec *)(beyond - beyond % LOGSIG_VECTOR_BYTES), row, end);
    free(memory);
    return 0;
}

LOGSIG_INLINE int logsig_run_serially(const logsig_job *job, ptrdiff_t row, ptrdiff_t end)
{
    if ((size_t)job->frame_vectors * sizeof(logsig_vec) <= LOGSIG_STACK_BYTES) return logsig_run_on_stack(job, row, end);
    return logsig_run_on_heap(job, row, end);
}

/* The smallest distance between rows after which every wide operand has the phase it started with. */
LOGSIG_INLINE int logsig_spread(const logsig_operand *operands, int n_operands)
{
    ptrdiff_t bits = LOGSIG_LANES;
    for (int k = 0; k < n_operands; k++)
        if (operands[k].columns > LOGSIG_NARROW) bits |= operands[k].stride;
    return (int)(LOGSIG_LANES / (bits & -bits));
}

/* Runs `block` over the whole batch with up to n_jobs threads. Returns 0, or ENOMEM when there is no room for a frame,
 * and then the outputs are not all written. With n_jobs == 1 the OpenMP runtime is left alone. */
LOGSIG_UNUSED static int logsig_run(const logsig_operand *operands, int n_operands, ptrdiff_t batch, int n_jobs,
                                    int frame_vectors, logsig_block_fn block)
{
    const logsig_job job = {operands, n_operands, frame_vectors, logsig_spread(operands, n_operands), block};
    if (batch <= 0) return 0;
#ifdef _OPENMP
    const ptrdiff_t blocks = (batch - 1) / LOGSIG_LANES + 1;
    const int threads = blocks < n_jobs ? (int)blocks : n_jobs;
    if (threads > 1) {
        const ptrdiff_t share = blocks / threads, extra = blocks % threads;
        int error = 0;
#pragma omp parallel for schedule(static) num_threads(threads) reduction(| : error)
        for (int t = 0; t < threads; t++) {
            const ptrdiff_t row = (t * share + (t < extra ? t : extra)) * LOGSIG_LANES;
            const ptrdiff_t end = row + (share + (t < extra)) * LOGSIG_LANES;
            error |= logsig_run_serially(&job, row, end < batch ? end : batch);
        }
        return error;
    }
#else
    (void)n_jobs;
#endif
    return logsig_run_serially(&job, 0, batch);
}

#endif
