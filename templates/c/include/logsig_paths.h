/* Along a path: everything between arrays of points and the vectors a step works on.
 *
 * A block is LANES paths, one per lane, that walk side by side. Points are read once, a chunk at a time, through tiles
 * of LANES paths x LANES numbers, as displacements; a generated function takes the state of all lanes over
 * the displacements of a chunk. The state never leaves the frame. Where lanes differ in length, the short ones stand
 * still at their last point, which leaves their state as it is.
 *
 * Backward, the lanes walk from the last point to the first. No states were stored: the generated step undoes its
 * displacement before it differentiates it. The derivative with respect to a point is the difference of those with
 * respect to the displacements that end and begin there.
 */
#ifndef LOGSIG_PATHS_H
#define LOGSIG_PATHS_H

#include "logsig_points.h"
#include "logsig_rows.h"

/* Numbers per path in a chunk, about: with the state of a few hundred numbers they stay in the first-level cache. */
#ifndef LOGSIG_CHUNK_COLUMNS
#define LOGSIG_CHUNK_COLUMNS 64
#endif

/* Points of paths that are not in the cache next to the core are asked for that many bytes ahead. */
#ifndef LOGSIG_POINTS_AHEAD_BYTES
#define LOGSIG_POINTS_AHEAD_BYTES 1536
#endif

/* A long path is cut into pieces of at least so many steps, as many as the greatest power of two allows: then one path
 * alone fills the lanes, and errors do not grow along it. Multiplying pieces takes time as well, so beyond a few of them
 * they have to be longer; and there are at most so many, so that memory does not grow with the length. */
#ifndef LOGSIG_PIECE_STEPS
#define LOGSIG_PIECE_STEPS 96
#endif
#ifndef LOGSIG_LONG_PIECE_STEPS
#define LOGSIG_LONG_PIECE_STEPS 512
#endif
#ifndef LOGSIG_FEW_PIECES
#define LOGSIG_FEW_PIECES 32
#endif
#ifndef LOGSIG_MOST_PIECES
#define LOGSIG_MOST_PIECES 256
#endif
/* Numbers of the log-signatures of pieces that are kept at a time, about. */
#ifndef LOGSIG_PIECES_ROOM
#define LOGSIG_PIECES_ROOM (1 << 21)
#endif

/* Steps in a chunk: a multiple of LANES, so that chunks are whole tiles, and of MOST_AT_ONCE. */
#define LOGSIG_MOST_AT_ONCE 4
#define LOGSIG_CHUNK_UNIT (LOGSIG_LANES > LOGSIG_MOST_AT_ONCE ? LOGSIG_LANES : LOGSIG_MOST_AT_ONCE)
#define LOGSIG_CHUNK(dimension) \
    (LOGSIG_CHUNK_UNIT * (1 + (LOGSIG_CHUNK_COLUMNS - 1) / ((dimension) * LOGSIG_CHUNK_UNIT)))
/* Room for the displacements of a chunk, one more of them, and what the last tile adds. */
#define LOGSIG_CHUNK_ROOM(dimension) ((LOGSIG_CHUNK(dimension) + 1) * (dimension) + LOGSIG_LANES)

/* Takes the state over `count` displacements. */
typedef void (*logsig_steps_fn)(logsig_vec *frame, const logsig_vec *v, ptrdiff_t count);
/* The state of one path, computed in room for it; lane: where it goes, to all of them if negative. */
typedef void (*logsig_alone_fn)(const logsig_real *path, ptrdiff_t points, int lane, logsig_vec *room,
                                logsig_vec *state);
/* Takes state and derivative back over `count` displacements, the last one first; dv receives their derivatives. */
typedef void (*logsig_back_fn)(logsig_vec *frame, const logsig_vec *v, logsig_vec *dv, ptrdiff_t count);

/* An array of paths: path b starts at data + starts[b], or, without starts, at data + b * stride; its points follow one
 * another. */
typedef struct {
    const logsig_real *data;
    ptrdiff_t stride;
    const ptrdiff_t *starts;
} logsig_path_operand;

/* The functions by which the log-signatures of pieces are multiplied; a backward pass needs all of them. Null, the
 * struct or a member: paths are not cut. The functions are those of the same problem and number type. */
typedef struct {
    void (*log_sig)(void);
    void (*combine)(void);
    void (*combine_backprop)(void);
} logsig_products;

typedef int (*logsig_log_sig_fn)(const logsig_real *path, ptrdiff_t path_stride, ptrdiff_t length,
                                 const ptrdiff_t *lengths, const ptrdiff_t *starts, const void *products,
                                 logsig_real *out, ptrdiff_t out_stride, ptrdiff_t batch, int n_jobs);
typedef int (*logsig_combine_fn)(const logsig_real *log_sig1, ptrdiff_t log_sig1_stride, const logsig_real *log_sig2,
                                 ptrdiff_t log_sig2_stride, logsig_real *out, ptrdiff_t out_stride, ptrdiff_t batch,
                                 int n_jobs);
typedef int (*logsig_combine_backprop_fn)(const logsig_real *d_out, ptrdiff_t d_out_stride, const logsig_real *log_sig1,
                                          ptrdiff_t log_sig1_stride, const logsig_real *log_sig2,
                                          ptrdiff_t log_sig2_stride, logsig_real *d_log_sig1,
                                          ptrdiff_t d_log_sig1_stride, logsig_real *d_log_sig2,
                                          ptrdiff_t d_log_sig2_stride, ptrdiff_t batch, int n_jobs);

/* What an operation does with its paths; functions and operands it has no use for are null. */
typedef struct {
    logsig_path_operand path, d_path;
    logsig_path_operand d_first; /* with data: where the derivatives of the first points go instead */
    ptrdiff_t length;         /* points of a path, at most if lengths are given */
    const ptrdiff_t *lengths; /* points of each path, or null */
    int dimension;
    int state, state_size;     /* frame[state ...]: state_size vectors */
    int d_state, d_state_size; /* likewise */
    int buffer;                /* frame[buffer ...]: room for a chunk and, backward, for two */
    logsig_operand operands[4];
    int n_operands;
    int frame_vectors;
    int initial; /* backward along a stream: whether operand 2 holds initial log-signatures */
    logsig_steps_fn steps;
    int at_once; /* how many steps `steps` takes together; 0: it takes one at a time */
    logsig_alone_fn alone; /* with the results of `steps`, bit for bit */
    int alone_most;        /* blocks of at most so many paths are walked path by path */
    logsig_back_fn back;
    logsig_block_fn start, finish;
} logsig_path_job;

/* ---- points ---------------------------------------------------------------------------------------------------- */

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

/* Takes `live` paths into the lanes, first, first + spread, ...; spare lanes repeat the last one. */
LOGSIG_INLINE void logsig_take_paths(const logsig_path_job *job, const logsig_path_operand *path, logsig_walk *walk,
                                     ptrdiff_t first, ptrdiff_t spread, int live)
{
    walk->longest = walk->ahead = 0;
    walk->shortest = PTRDIFF_MAX;
    for (int i = 0; i < LOGSIG_LANES; i++) {
        const ptrdiff_t b = first + (i < live ? i : live - 1) * spread;
        const ptrdiff_t points = job->lengths ? job->lengths[b] : job->length;
        walk->lane[i] = path->data + (path->starts ? path->starts[b] : b * path->stride);
        walk->points[i] = points;
        if (points > walk->longest) walk->longest = points;
        if (points < walk->shortest) walk->shortest = points;
    }
}

/* far: whether to ask for their lines ahead. */
LOGSIG_INLINE void logsig_take_rows(const logsig_path_job *job, logsig_rows *rows, logsig_vec *frame, ptrdiff_t first,
                                    ptrdiff_t spread, int live, int far)
{
    for (int k = 0; k < job->n_operands; k++) {
        const logsig_operand *const operand = &job->operands[k];
        rows[k].at = frame + operand->home;
        rows[k].columns = operand->columns;
        rows[k].next = 0;
        rows[k].here = 0;
        rows[k].ahead = far ? LOGSIG_AHEAD_BYTES / (LOGSIG_REAL_BITS / 8) : 0;
        rows[k].phase_mask = 0;
        for (int i = 0; i < LOGSIG_LANES; i++)
            rows[k].lane[i] = operand->data + (first + (i < live ? i : live - 1) * spread) * operand->stride;
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

/* Whether paths row ... end - 1 are more than the cache next to the core holds. */
LOGSIG_INLINE int logsig_far_paths(const logsig_path_job *job, ptrdiff_t row, ptrdiff_t end)
{
    ptrdiff_t numbers = job->length * job->dimension + 1;
    for (int k = 0; k < job->n_operands; k++) numbers += job->operands[k].columns;
    return end - row > LOGSIG_NEAR_BYTES / (LOGSIG_REAL_BITS / 8) / numbers;
}

/* How far apart the paths of a block are. Paths that follow one another in memory, and are too many for the cache, are
 * read fastest if every lane walks on from where its last path ended: `spread` blocks take a share of the paths for each
 * lane. Lanes are kept from competing for the same few places of the first-level cache, where addresses equal modulo 4096
 * go. Where paths differ in length neighbours are taken, which whoever calls may have sorted. */
LOGSIG_NOINLINE ptrdiff_t logsig_path_spread(const logsig_path_job *job, ptrdiff_t row, ptrdiff_t end)
{
    ptrdiff_t spread = job->lengths ? 1 : (end - row) / LOGSIG_LANES;
    if (spread > LOGSIG_MAX_SPREAD) spread = LOGSIG_MAX_SPREAD;
    for (int tries = 0; tries < 16 && spread > 1; tries++, spread--) {
        logsig_walk walk;
        int crowded = 0;
        logsig_take_paths(job, &job->path, &walk, row, spread, LOGSIG_LANES);
        for (int i = 1; i < LOGSIG_LANES; i++)
            crowded |= ((uintptr_t)walk.lane[i] - (uintptr_t)walk.lane[0] + 128) % 4096 < 256;
        if (!crowded) break;
    }
    return spread > 1 ? spread : 1;
}

/* Steps that are taken together: a group that more than half of is there gets steps that stand still, which take less time
 * than the others one by one. */
LOGSIG_INLINE ptrdiff_t logsig_fill_group(const logsig_path_job *job, logsig_vec *v, ptrdiff_t count)
{
    const ptrdiff_t there = job->at_once ? count % job->at_once : 0, missing = job->at_once - there;
    if (there <= missing) return count;
    logsig_clear(v + count * job->dimension, (int)missing * job->dimension);
    return count + missing;
}

/* Log-signatures of whole paths. Operand 0: out. */
LOGSIG_NOINLINE void logsig_walk_forward(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_path_job *const job = given;
    const int d = job->dimension;
    const int far = logsig_far_paths(job, row, end);
    logsig_vec *const x = frame + job->buffer;
    for (ptrdiff_t spread; row < end; row += spread * LOGSIG_LANES) {
        const int live = end - row < LOGSIG_LANES ? (int)(end - row) : LOGSIG_LANES;
        spread = far ? logsig_path_spread(job, row, end) : 1;
        for (ptrdiff_t block = row; block < row + spread; block++) {
            logsig_walk walk;
            logsig_rows rows[4];
            logsig_take_paths(job, &job->path, &walk, block, spread, live);
            if (far) walk.ahead = LOGSIG_POINTS_AHEAD_BYTES / (LOGSIG_REAL_BITS / 8);
            logsig_take_rows(job, rows, frame, block, spread, live, far);
            if (live <= job->alone_most) { /* the last one first, for the spare lanes as well */
                for (int i = live - 1; i >= 0; i--)
                    job->alone(walk.lane[i], walk.points[i], i == live - 1 ? -1 : i, x, frame + job->state);
            } else {
                logsig_clear(frame + job->state, job->state_size);
                for (ptrdiff_t t = 0, count; t < walk.longest - 1; t += count) {
                    count = logsig_chunk(&walk, d, t, walk.longest - 1);
                    logsig_load_displacements(&walk, d, t, count, x);
                    job->steps(frame, x, logsig_fill_group(job, x, count));
                }
            }
            job->finish(rows, frame);
        }
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
                                      ptrdiff_t row, ptrdiff_t spread, int live)
{
    for (int k = 0; k < d; k++) carry[k] = LOGSIG_SUB(LOGSIG_SET1(0), carry[k]);
    if (job->d_first.data) logsig_take_paths(job, &job->d_first, walk, row, spread, live);
    logsig_store_points(walk, d, 0, 1, carry);
}

/* Gradients of whole paths. The start function reads its operands and leaves state and d_state. */
LOGSIG_NOINLINE void logsig_walk_backward(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_path_job *const job = given;
    const int d = job->dimension, far = logsig_far_paths(job, row, end);
    logsig_vec *const x = frame + job->buffer, *const dv = x + LOGSIG_CHUNK_ROOM(d);
    logsig_vec *const carry = dv + LOGSIG_CHUNK_ROOM(d);
    for (ptrdiff_t spread; row < end; row += spread * LOGSIG_LANES) {
        const int live = end - row < LOGSIG_LANES ? (int)(end - row) : LOGSIG_LANES;
        spread = far ? logsig_path_spread(job, row, end) : 1;
        for (ptrdiff_t block = row; block < row + spread; block++) {
            logsig_walk walk, d_walk;
            logsig_rows rows[4];
            logsig_take_paths(job, &job->path, &walk, block, spread, live);
            logsig_take_paths(job, &job->d_path, &d_walk, block, spread, live);
            logsig_take_rows(job, rows, frame, block, spread, live, far);
            job->start(rows, frame);
            logsig_clear(carry, d);
            for (ptrdiff_t t = walk.longest - 1, count; t > 0; t -= count) {
                count = logsig_chunk_back(&walk, d, t);
                logsig_load_displacements(&walk, d, t - count, count, x);
                job->back(frame, x, dv, count);
                logsig_store_derivatives(&d_walk, d, t - count, count, dv, x, carry);
            }
            logsig_store_first(job, &d_walk, d, carry, block, spread, live);
        }
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
        logsig_take_paths(job, &job->path, &walk, row, 1, live);
        logsig_take_rows(job, rows, frame, row, 1, live, 0);
        logsig_clear(frame + job->state, job->state_size);
        if (job->n_operands > 1) logsig_fetch(&rows[1], job->state_size);
        for (ptrdiff_t t = 0, count; t < job->length - 1; t += count) {
            count = logsig_chunk(&walk, d, t, job->length - 1);
            logsig_load_displacements(&walk, d, t, count, x);
            for (ptrdiff_t s = 0; s < count; s++) {
                job->steps(frame, x + s * d, 1);
                logsig_at_step(&rows[0], t + s);
                logsig_flush(&rows[0], job->state_size);
            }
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
        logsig_take_paths(job, &job->path, &walk, row, 1, live);
        logsig_take_paths(job, &job->d_path, &d_walk, row, 1, live);
        logsig_take_rows(job, rows, frame, row, 1, live, 0);
        logsig_clear(d_state, job->d_state_size);
        logsig_clear(carry, d);
        for (ptrdiff_t t = job->length - 1, count; t > 0; t -= count) {
            count = logsig_chunk_back(&walk, d, t);
            logsig_load_displacements(&walk, d, t - count, count, x);
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
        logsig_store_first(job, &d_walk, d, carry, row, 1, live);
        if (job->initial) logsig_flush(&rows[3], job->d_state_size);
    }
}

/* ---- pieces ---------------------------------------------------------------------------------------------------- */

LOGSIG_INLINE ptrdiff_t logsig_points(const logsig_path_job *job, ptrdiff_t path)
{
    return job->lengths ? job->lengths[path] : job->length;
}

LOGSIG_INLINE ptrdiff_t logsig_pieces(ptrdiff_t points)
{
    ptrdiff_t pieces = 1;
    while (pieces < LOGSIG_FEW_PIECES && points - 1 >= 2 * pieces * LOGSIG_PIECE_STEPS) pieces *= 2;
    while (pieces >= LOGSIG_FEW_PIECES && pieces < LOGSIG_MOST_PIECES &&
           points - 1 >= 2 * pieces * LOGSIG_LONG_PIECE_STEPS)
        pieces *= 2;
    return pieces;
}

/* The same job for the paths from `first` on. */
LOGSIG_INLINE logsig_path_job logsig_from(const logsig_path_job *job, ptrdiff_t first)
{
    logsig_path_job rest = *job;
    if (job->lengths) rest.lengths += first;
    if (job->path.starts) {
        rest.path.starts += first;
        rest.d_path.starts = rest.path.starts;
    } else {
        rest.path.data += first * job->path.stride;
        if (job->d_path.data) rest.d_path.data += first * job->d_path.stride;
    }
    for (int k = 0; k < job->n_operands; k++) rest.operands[k].data += first * job->operands[k].stride;
    return rest;
}

/* The end of the run of paths from `first` on that are cut into equally many pieces, no more than `room` paths. */
LOGSIG_INLINE ptrdiff_t logsig_run_end(const logsig_path_job *job, ptrdiff_t first, ptrdiff_t batch, ptrdiff_t pieces,
                                       ptrdiff_t room)
{
    ptrdiff_t end = batch;
    if (job->lengths)
        for (end = first + 1; end < batch && logsig_pieces(job->lengths[end]) == pieces;) end++;
    return pieces > 1 && end - first > room ? first + room : end;
}

/* Where the pieces of a run of paths begin in the array of their paths, and the points they have; neighbours share one.
 * For the derivatives: where they begin in the array of those. */
LOGSIG_NOINLINE void logsig_cut(const logsig_path_job *job, ptrdiff_t paths, ptrdiff_t pieces, ptrdiff_t *starts,
                                ptrdiff_t *d_starts, ptrdiff_t *points)
{
    for (ptrdiff_t b = 0; b < paths; b++) {
        const ptrdiff_t steps = logsig_points(job, b) - 1;
        const ptrdiff_t start = job->path.starts ? job->path.starts[b] : b * job->path.stride;
        const ptrdiff_t d_start = job->path.starts ? start : b * job->d_path.stride;
        for (ptrdiff_t k = 0; k < pieces; k++) {
            const ptrdiff_t first = steps * k / pieces, last = steps * (k + 1) / pieces;
            starts[b * pieces + k] = start + first * job->dimension;
            d_starts[b * pieces + k] = d_start + first * job->dimension;
            points[b * pieces + k] = last - first + 1;
        }
    }
}

/* Log-signatures of the pieces, then level by level those of neighbours together: pieces + pieces / 2 + ... + 1 rows per
 * path, level after level. The last level goes to `out`, if there is one. */
LOGSIG_NOINLINE int logsig_products_up(logsig_combine_fn combine, logsig_real *rows, int size, ptrdiff_t paths,
                                       ptrdiff_t pieces, logsig_real *out, ptrdiff_t out_stride, int n_jobs)
{
    for (; pieces > 1; pieces /= 2) {
        logsig_real *const next = rows + paths * pieces * size;
        const int last = pieces == 2 && out;
        const int error = combine(rows, 2 * size, rows + size, 2 * size, last ? out : next, last ? out_stride : size,
                                  paths * pieces / 2, n_jobs);
        if (error) return error;
        rows = next;
    }
    return 0;
}

/* The log-signatures of all paths, long ones in pieces; walk: what computes them from end to end. Operand 0: out. */
LOGSIG_INLINE int logsig_run_paths(const logsig_path_job *job, logsig_range_fn walk, const logsig_products *products,
                                   ptrdiff_t batch, int n_jobs)
{
    const int size = job->operands[0].columns;
    const int cut = products && products->combine;
    for (ptrdiff_t first = 0, end; first < batch; first = end) {
        logsig_path_job run = logsig_from(job, first);
        const ptrdiff_t pieces = cut ? logsig_pieces(logsig_points(job, first)) : 1;
        end = cut ? logsig_run_end(job, first, batch, pieces, 1 + LOGSIG_PIECES_ROOM / (2 * pieces * size)) : batch;
        const ptrdiff_t paths = end - first, count = paths * pieces;
        if (pieces == 1) {
            const int error = logsig_share(&run, walk, job->frame_vectors, paths, n_jobs);
            if (error) return error;
            continue;
        }
        ptrdiff_t *const starts = malloc((size_t)(3 * count) * sizeof(ptrdiff_t));
        logsig_real *const rows = logsig_numbers(2 * count * size);
        int error = starts && rows ? 0 : ENOMEM;
        if (!error) {
            const logsig_operand out = run.operands[0];
            logsig_cut(&run, paths, pieces, starts, starts + count, starts + 2 * count);
            run.path.starts = starts;
            run.lengths = starts + 2 * count;
            run.operands[0].data = rows;
            run.operands[0].stride = size;
            error = logsig_share(&run, walk, job->frame_vectors, count, n_jobs);
            if (!error)
                error = logsig_products_up((logsig_combine_fn)products->combine, rows, size, paths, pieces,
                                           (logsig_real *)out.data, out.stride, n_jobs);
        }
        logsig_free_numbers(rows);
        free(starts);
        if (error) return error;
    }
    return 0;
}

LOGSIG_UNUSED static int logsig_run_forward(const logsig_path_job *job, const logsig_products *products,
                                            ptrdiff_t batch, int n_jobs)
{
    return logsig_run_paths(job, logsig_walk_forward, products, batch, n_jobs);
}

/* Derivatives with respect to the pieces' log-signatures from those with respect to their products, level by level. The
 * rows are those of logsig_products_up; `gradients` has as much room, and the derivatives end up where it begins. */
LOGSIG_NOINLINE int logsig_products_down(logsig_combine_backprop_fn back, const logsig_real *rows,
                                         logsig_real *gradients, int size, ptrdiff_t paths, ptrdiff_t pieces,
                                         const logsig_real *d_out, ptrdiff_t d_out_stride, int n_jobs)
{
    ptrdiff_t level = 1, offset = 2 * paths * pieces - 2 * paths; /* where the rows of the last level begin */
    for (; level < pieces; level *= 2) {
        const ptrdiff_t below = offset - 2 * level * paths;
        const logsig_real *const given = level == 1 ? d_out : gradients + offset * size;
        const int error = back(given, level == 1 ? d_out_stride : size, rows + below * size, 2 * size,
                               rows + below * size + size, 2 * size, gradients + below * size, 2 * size,
                               gradients + below * size + size, 2 * size, level * paths, n_jobs);
        if (error) return error;
        offset = below;
    }
    return 0;
}

/* The last point of a piece is the first one of the next: the derivatives of both together. */
LOGSIG_NOINLINE void logsig_join_pieces(const logsig_path_job *job, const ptrdiff_t *d_starts, ptrdiff_t count,
                                        ptrdiff_t pieces, const logsig_real *d_first)
{
    logsig_real *const d_path = (logsig_real *)job->d_path.data;
    for (ptrdiff_t k = 0; k < count; k++)
        for (int i = 0; i < job->dimension; i++) {
            const logsig_real first = d_first[k * job->dimension + i];
            logsig_real *const to = d_path + d_starts[k] + i;
            *to = k % pieces ? *to + first : first;
        }
}

LOGSIG_NOINLINE int logsig_back_in_pieces(const logsig_path_job *job, const logsig_products *products, ptrdiff_t paths,
                                          ptrdiff_t pieces, int n_jobs)
{
    const int size = job->operands[0].columns, d = job->dimension;
    const ptrdiff_t count = paths * pieces;
    ptrdiff_t *const starts = malloc((size_t)(3 * count) * sizeof(ptrdiff_t));
    logsig_real *const rows = logsig_numbers(4 * count * size + count * d);
    int error = starts && rows ? 0 : ENOMEM;
    if (!error) {
        ptrdiff_t *const d_starts = starts + count, *const points = starts + 2 * count;
        logsig_real *const gradients = rows + 2 * count * size, *const d_first = gradients + 2 * count * size;
        const logsig_operand d_out = job->operands[0];
        logsig_path_job run = *job;
        logsig_cut(job, paths, pieces, starts, d_starts, points);
        error = ((logsig_log_sig_fn)products->log_sig)(job->path.data, 0, 0, points, starts, NULL, rows, size, count,
                                                       n_jobs);
        if (!error)
            error = logsig_products_up((logsig_combine_fn)products->combine, rows, size, paths, pieces, NULL, 0, n_jobs);
        if (!error)
            error = logsig_products_down((logsig_combine_backprop_fn)products->combine_backprop, rows, gradients, size,
                                         paths, pieces, d_out.data, d_out.stride, n_jobs);
        if (!error) {
            run.path.starts = starts;
            run.d_path.starts = d_starts;
            run.lengths = points;
            run.operands[0].data = gradients;
            run.operands[1].data = rows;
            run.operands[0].stride = run.operands[1].stride = size;
            run.d_first.data = d_first;
            run.d_first.stride = d;
            error = logsig_share(&run, logsig_walk_backward, job->frame_vectors, count, n_jobs);
        }
        if (!error) logsig_join_pieces(job, d_starts, count, pieces, d_first);
    }
    logsig_free_numbers(rows);
    free(starts);
    return error;
}

/* The gradients of all paths, long ones in pieces. Operands: d_out and log_sig, which long paths do without. */
LOGSIG_UNUSED static int logsig_run_backward(const logsig_path_job *job, const logsig_products *products,
                                             ptrdiff_t batch, int n_jobs)
{
    const int size = job->operands[0].columns;
    const int cut = products && products->log_sig && products->combine && products->combine_backprop;
    for (ptrdiff_t first = 0, end; first < batch; first = end) {
        const logsig_path_job run = logsig_from(job, first);
        const ptrdiff_t pieces = cut ? logsig_pieces(logsig_points(job, first)) : 1;
        end = cut ? logsig_run_end(job, first, batch, pieces, 1 + LOGSIG_PIECES_ROOM / (4 * pieces * size)) : batch;
        const int error = pieces == 1
                              ? logsig_share(&run, logsig_walk_backward, job->frame_vectors, end - first, n_jobs)
                              : logsig_back_in_pieces(&run, products, end - first, pieces, n_jobs);
        if (error) return error;
    }
    return 0;
}

#endif
