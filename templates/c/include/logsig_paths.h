/* Along a path: everything between arrays of points and the vectors a step works on.
 *
 * A block is LANES paths, one per lane, that walk side by side. Points are read once, a chunk at a time, through tiles
 * of LANES paths x LANES numbers, and turned into displacements; a generated function takes the state of all lanes over
 * the displacements of a chunk. The state never leaves the frame. Where lanes differ in length, the short ones stand
 * still at their last point, which leaves their state as it is.
 *
 * Backward, the lanes walk from the last point to the first. No states were stored: the generated step undoes its
 * displacement before it differentiates it. The derivative with respect to a point is the difference of those with
 * respect to the displacements that end and begin there.
 */
#ifndef LOGSIG_PATHS_H
#define LOGSIG_PATHS_H

#include "logsig_rows.h"

/* Numbers per path in a chunk, about. */
#ifndef LOGSIG_CHUNK_COLUMNS
#define LOGSIG_CHUNK_COLUMNS 128
#endif

/* Steps in a chunk: a multiple of LANES, so that chunks are whole tiles. */
#define LOGSIG_CHUNK(dimension) (LOGSIG_LANES * (1 + (LOGSIG_CHUNK_COLUMNS - 1) / ((dimension) * LOGSIG_LANES)))
/* Room for the points of a chunk: one more than there are steps, and what the last tile adds. */
#define LOGSIG_CHUNK_ROOM(dimension) ((LOGSIG_CHUNK(dimension) + 1) * (dimension) + LOGSIG_LANES)

/* Takes the state over `count` displacements. */
typedef void (*logsig_steps_fn)(logsig_vec *frame, const logsig_vec *v, ptrdiff_t count);
/* Takes state and derivative back over `count` displacements, the last one first; dv receives their derivatives. */
typedef void (*logsig_back_fn)(logsig_vec *frame, const logsig_vec *v, logsig_vec *dv, ptrdiff_t count);

/* An array of paths: path b starts at data + starts[b], or, without starts, at data + b * stride; its points follow one
 * another. */
typedef struct {
    const logsig_real *data;
    ptrdiff_t stride;
    const ptrdiff_t *starts;
} logsig_path_operand;

/* What an operation does with its paths; functions and operands it has no use for are null. */
typedef struct {
    logsig_path_operand path, d_path;
    logsig_path_operand d_first; /* with data: where the derivatives of the first points go instead */
    ptrdiff_t length;         /* points of a path, at most if lengths are given */
    const ptrdiff_t *lengths; /* points of each path, or null */
    int dimension;
    int state, state_size;     /* frame[state ...]: state_size vectors */
    int d_state, d_state_size; /* likewise */
    int buffer;                /* frame[buffer ...]: room for points and, backward, for two more chunks */
    logsig_operand operands[4];
    int n_operands;
    int initial; /* backward along a stream: whether operand 2 holds initial log-signatures */
    logsig_steps_fn steps;
    logsig_back_fn back;
    logsig_block_fn start, finish;
} logsig_path_job;

/* The paths of a block. */
typedef struct {
    const logsig_real *lane[LOGSIG_LANES];
    ptrdiff_t points[LOGSIG_LANES];
    ptrdiff_t longest, shortest; /* points of the longest and of the shortest one */
} logsig_walk;

/* ---- points ---------------------------------------------------------------------------------------------------- */

/* Points first ... first + count - 1 of every lane; beyond its end a lane repeats its last point. May fill up to LANES
 * vectors beyond. */
LOGSIG_NOINLINE void logsig_load_points(const logsig_walk *walk, int dimension, ptrdiff_t first, ptrdiff_t count,
                                        logsig_vec *to)
{
    const ptrdiff_t columns = count * dimension, from = first * dimension;
    if (first + count <= walk->shortest) {
        for (ptrdiff_t c = 0; c < columns; c += LOGSIG_LANES) {
            logsig_vec tile[LOGSIG_LANES];
            if (LOGSIG_LIKELY(c + LOGSIG_LANES <= columns)) {
                LOGSIG_UNROLL
                for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = logsig_load(walk->lane[i] + from + c);
            } else {
                const logsig_part part = logsig_part_of(0, (int)(columns - c));
                LOGSIG_UNROLL
                for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = logsig_load_part(walk->lane[i] + from + c, part);
            }
            logsig_transpose(tile);
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) to[c + i] = tile[i];
        }
        return;
    }
    for (int i = 0; i < LOGSIG_LANES; i++) {
        logsig_real *const lane = (logsig_real *)to + i;
        for (ptrdiff_t t = 0; t < count; t++) {
            const ptrdiff_t point = first + t < walk->points[i] ? first + t : walk->points[i] - 1;
            for (int k = 0; k < dimension; k++)
                lane[(t * dimension + k) * LOGSIG_LANES] = point < 0 ? 0 : walk->lane[i][point * dimension + k];
        }
    }
}

/* The reverse; what lies beyond the end of a lane is dropped. */
LOGSIG_NOINLINE void logsig_store_points(const logsig_walk *walk, int dimension, ptrdiff_t first, ptrdiff_t count,
                                         const logsig_vec *from)
{
    const ptrdiff_t columns = count * dimension, to = first * dimension;
    if (first + count <= walk->shortest) {
        for (ptrdiff_t c = 0; c < columns; c += LOGSIG_LANES) {
            logsig_vec tile[LOGSIG_LANES];
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = from[c + i];
            logsig_transpose(tile);
            if (LOGSIG_LIKELY(c + LOGSIG_LANES <= columns)) {
                LOGSIG_UNROLL
                for (int i = 0; i < LOGSIG_LANES; i++) logsig_store((logsig_real *)walk->lane[i] + to + c, tile[i]);
            } else {
                const logsig_part part = logsig_part_of(0, (int)(columns - c));
                LOGSIG_UNROLL
                for (int i = 0; i < LOGSIG_LANES; i++)
                    logsig_store_part((logsig_real *)walk->lane[i] + to + c, part, tile[i]);
            }
        }
        return;
    }
    for (int i = 0; i < LOGSIG_LANES; i++) {
        const logsig_real *const lane = (const logsig_real *)from + i;
        for (ptrdiff_t t = 0; t < count && first + t < walk->points[i]; t++)
            for (int k = 0; k < dimension; k++)
                ((logsig_real *)walk->lane[i])[(first + t) * dimension + k] = lane[(t * dimension + k) * LOGSIG_LANES];
    }
}

/* count + 1 points become count displacements, in place; the last point stays behind them. */
LOGSIG_INLINE void logsig_differences(int dimension, ptrdiff_t count, logsig_vec *x)
{
    for (ptrdiff_t j = 0; j < count * dimension; j++) x[j] = LOGSIG_SUB(x[j + dimension], x[j]);
}

/* The derivative with respect to displacements beyond the end of a lane is not one of any input. */
LOGSIG_INLINE void logsig_drop_beyond(const logsig_walk *walk, int dimension, ptrdiff_t first, ptrdiff_t count,
                                      logsig_vec *dv)
{
    if (first + count < walk->shortest) return;
    for (int i = 0; i < LOGSIG_LANES; i++)
        for (ptrdiff_t t = 0; t < count; t++)
            if (first + t >= walk->points[i] - 1)
                for (int k = 0; k < dimension; k++) ((logsig_real *)dv)[(t * dimension + k) * LOGSIG_LANES + i] = 0;
}

/* ---- blocks ---------------------------------------------------------------------------------------------------- */

/* Takes paths first ... first + live - 1 into the lanes; spare lanes repeat the last one. */
LOGSIG_INLINE void logsig_take_paths(const logsig_path_job *job, const logsig_path_operand *path, logsig_walk *walk,
                                     ptrdiff_t first, int live)
{
    walk->longest = 0;
    walk->shortest = PTRDIFF_MAX;
    for (int i = 0; i < LOGSIG_LANES; i++) {
        const ptrdiff_t b = first + (i < live ? i : live - 1);
        const ptrdiff_t points = job->lengths ? job->lengths[b] : job->length;
        walk->lane[i] = path->data + (path->starts ? path->starts[b] : b * path->stride);
        walk->points[i] = points;
        if (points > walk->longest) walk->longest = points;
        if (points < walk->shortest) walk->shortest = points;
    }
}

LOGSIG_INLINE void logsig_take_rows(const logsig_path_job *job, logsig_rows *rows, logsig_vec *frame, ptrdiff_t first,
                                    int live)
{
    for (int k = 0; k < job->n_operands; k++) {
        const logsig_operand *const operand = &job->operands[k];
        rows[k].at = frame + operand->home;
        rows[k].columns = operand->columns;
        rows[k].next = 0;
        rows[k].here = rows[k].ahead = 0;
        rows[k].phase_mask = 0;
        for (int i = 0; i < LOGSIG_LANES; i++)
            rows[k].lane[i] = operand->data + (first + (i < live ? i : live - 1)) * operand->stride;
    }
}

LOGSIG_INLINE void logsig_clear(logsig_vec *to, int count)
{
    for (int k = 0; k < count; k++) to[k] = LOGSIG_SET1(0);
}

/* Makes row `index` of the arrays that have a row per step the one that is read or written next. */
LOGSIG_INLINE void logsig_at_step(logsig_rows *rows, ptrdiff_t index)
{
    rows->here = index * rows->columns;
    rows->next = 0;
}

/* The steps from `first` on that one chunk can take: so many that either no lane ends among them, or some lane has ended
 * before. */
LOGSIG_INLINE ptrdiff_t logsig_chunk(const logsig_walk *walk, int dimension, ptrdiff_t first, ptrdiff_t end)
{
    ptrdiff_t count = end - first < LOGSIG_CHUNK(dimension) ? end - first : LOGSIG_CHUNK(dimension);
    const ptrdiff_t together = walk->shortest - 1 - first;
    if (together > 0 && count > together) count = together;
    return count;
}

/* The same for the steps that end at `end`. */
LOGSIG_INLINE ptrdiff_t logsig_chunk_back(const logsig_walk *walk, int dimension, ptrdiff_t end)
{
    const ptrdiff_t count = end < LOGSIG_CHUNK(dimension) ? end : LOGSIG_CHUNK(dimension);
    const ptrdiff_t beyond = end - (walk->shortest - 1);
    return beyond > 0 && count > beyond ? beyond : count;
}

/* Log-signatures of whole paths. Operand 0: out. */
LOGSIG_NOINLINE void logsig_walk_forward(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_path_job *const job = given;
    const int d = job->dimension;
    logsig_vec *const x = frame + job->buffer;
    for (; row < end; row += LOGSIG_LANES) {
        const int live = end - row < LOGSIG_LANES ? (int)(end - row) : LOGSIG_LANES;
        logsig_walk walk;
        logsig_rows rows[4];
        logsig_take_paths(job, &job->path, &walk, row, live);
        logsig_take_rows(job, rows, frame, row, live);
        logsig_clear(frame + job->state, job->state_size);
        logsig_load_points(&walk, d, 0, 1, x);
        for (ptrdiff_t t = 0, count; t < walk.longest - 1; t += count) {
            count = logsig_chunk(&walk, d, t, walk.longest - 1);
            logsig_load_points(&walk, d, t + 1, count, x + d);
            logsig_differences(d, count, x);
            job->steps(frame, x, count);
            for (int k = 0; k < d; k++) x[k] = x[count * d + k];
        }
        job->finish(rows, frame);
    }
}

/* Derivatives with respect to the displacements of a chunk, t ... t + count - 1, become derivatives with respect to the
 * points that end them; dv is followed by the derivative of the displacement after the chunk, which dv[0 ..] replaces
 * there for the chunk before. x: room for them. */
LOGSIG_INLINE void logsig_store_derivatives(const logsig_walk *walk, int d, ptrdiff_t t, ptrdiff_t count,
                                            logsig_vec *dv, logsig_vec *x, logsig_vec *carry)
{
    logsig_drop_beyond(walk, d, t, count, dv);
    for (int k = 0; k < d; k++) dv[count * d + k] = carry[k];
    for (ptrdiff_t j = 0; j < count * d; j++) x[j] = LOGSIG_SUB(dv[j], dv[j + d]);
    for (int k = 0; k < d; k++) carry[k] = dv[k];
    logsig_store_points(walk, d, t + 1, count, x);
}

LOGSIG_INLINE void logsig_store_first(const logsig_path_job *job, logsig_walk *walk, int d, logsig_vec *carry,
                                      ptrdiff_t row, int live)
{
    for (int k = 0; k < d; k++) carry[k] = LOGSIG_SUB(LOGSIG_SET1(0), carry[k]);
    if (job->d_first.data) logsig_take_paths(job, &job->d_first, walk, row, live);
    logsig_store_points(walk, d, 0, 1, carry);
}

/* Gradients of whole paths. The start function reads its operands and leaves state and d_state. */
LOGSIG_NOINLINE void logsig_walk_backward(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_path_job *const job = given;
    const int d = job->dimension;
    logsig_vec *const x = frame + job->buffer, *const dv = x + LOGSIG_CHUNK_ROOM(d);
    logsig_vec *const carry = dv + LOGSIG_CHUNK_ROOM(d);
    for (; row < end; row += LOGSIG_LANES) {
        const int live = end - row < LOGSIG_LANES ? (int)(end - row) : LOGSIG_LANES;
        logsig_walk walk, d_walk;
        logsig_rows rows[4];
        logsig_take_paths(job, &job->path, &walk, row, live);
        logsig_take_paths(job, &job->d_path, &d_walk, row, live);
        logsig_take_rows(job, rows, frame, row, live);
        job->start(rows, frame);
        logsig_clear(carry, d);
        for (ptrdiff_t t = walk.longest - 1, count; t > 0; t -= count) {
            count = logsig_chunk_back(&walk, d, t);
            logsig_load_points(&walk, d, t - count, count + 1, x);
            logsig_differences(d, count, x);
            job->back(frame, x, dv, count);
            logsig_store_derivatives(&d_walk, d, t - count, count, dv, x, carry);
        }
        logsig_store_first(job, &d_walk, d, carry, row, live);
    }
}

/* Log-signatures of all expanding paths. Operand 0: out, one row per step, its vectors are the state; operand 1, if
 * there is one: the log-signature of what came before, whose vectors are the state as well. */
LOGSIG_NOINLINE void logsig_walk_stream(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_path_job *const job = given;
    const int d = job->dimension;
    logsig_vec *const x = frame + job->buffer;
    for (; row < end; row += LOGSIG_LANES) {
        const int live = end - row < LOGSIG_LANES ? (int)(end - row) : LOGSIG_LANES;
        logsig_walk walk;
        logsig_rows rows[4];
        logsig_take_paths(job, &job->path, &walk, row, live);
        logsig_take_rows(job, rows, frame, row, live);
        logsig_clear(frame + job->state, job->state_size);
        if (job->n_operands > 1) logsig_fetch(&rows[1], job->state_size);
        logsig_load_points(&walk, d, 0, 1, x);
        for (ptrdiff_t t = 0, count; t < job->length - 1; t += count) {
            count = logsig_chunk(&walk, d, t, job->length - 1);
            logsig_load_points(&walk, d, t + 1, count, x + d);
            logsig_differences(d, count, x);
            for (ptrdiff_t s = 0; s < count; s++) {
                job->steps(frame, x + s * d, 1);
                logsig_at_step(&rows[0], t + s);
                logsig_flush(&rows[0], job->state_size);
            }
            for (int k = 0; k < d; k++) x[k] = x[count * d + k];
        }
    }
}

/* Gradients of a stream. Operands: d_out and the stream itself, one row per step (vectors of the latter: the state); with
 * `initial`, the log-signature the stream began with (vectors: the state) and its derivative (vectors: d_state). */
LOGSIG_NOINLINE void logsig_walk_stream_back(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_path_job *const job = given;
    const int d = job->dimension;
    logsig_vec *const x = frame + job->buffer, *const dv = x + LOGSIG_CHUNK_ROOM(d);
    logsig_vec *const carry = dv + LOGSIG_CHUNK_ROOM(d);
    logsig_vec *const d_state = frame + job->d_state;
    for (; row < end; row += LOGSIG_LANES) {
        const int live = end - row < LOGSIG_LANES ? (int)(end - row) : LOGSIG_LANES;
        logsig_walk walk, d_walk;
        logsig_rows rows[4];
        logsig_take_paths(job, &job->path, &walk, row, live);
        logsig_take_paths(job, &job->d_path, &d_walk, row, live);
        logsig_take_rows(job, rows, frame, row, live);
        logsig_clear(d_state, job->d_state_size);
        logsig_clear(carry, d);
        for (ptrdiff_t t = job->length - 1, count; t > 0; t -= count) {
            count = logsig_chunk_back(&walk, d, t);
            logsig_load_points(&walk, d, t - count, count + 1, x);
            logsig_differences(d, count, x);
            for (ptrdiff_t s = count - 1; s >= 0; s--) {
                const ptrdiff_t step = t - count + s;
                logsig_at_step(&rows[0], step);
                logsig_fetch(&rows[0], job->d_state_size);
                for (int k = 0; k < job->d_state_size; k++) d_state[k] = LOGSIG_ADD(d_state[k], rows[0].at[k]);
                if (step > 0) {
                    logsig_at_step(&rows[1], step - 1);
                    logsig_fetch(&rows[1], job->state_size);
                } else if (job->initial) {
                    logsig_fetch(&rows[2], job->state_size);
                } else {
                    logsig_clear(frame + job->state, job->state_size);
                }
                job->back(frame, x + s * d, dv + s * d, 1);
            }
            logsig_store_derivatives(&d_walk, d, t - count, count, dv, x, carry);
        }
        logsig_store_first(job, &d_walk, d, carry, row, live);
        if (job->initial) logsig_flush(&rows[3], job->d_state_size);
    }
}

#endif
