/* From rows to lanes and back: everything between the arrays a caller passes and the vectors a kernel works on.
 *
 * A *block* is LANES rows, one per lane. A generated block function asks for the first columns of an input with
 * logsig_fetch(), computes with vectors at[column], and hands finished columns of an output to logsig_flush(). Both
 * move *tiles* of LANES rows x LANES columns, so every row is read and written once, and the kernel may start before
 * the last column has been read. logsig_run() cuts a batch into blocks.
 *
 * Short kernels do without vectors in memory: logsig_fetch_whole() and logsig_flush_whole() move tiles between rows and
 * local variables.
 *
 * Which rows share a block decides the speed, for two reasons.
 *   - Row lengths are rarely a multiple of a vector, so with neighbouring rows nearly every access would straddle two
 *     cache lines, which costs more than transposing does. But rows whose distance is a multiple of LANES numbers
 *     begin at the same place within a vector (their *phase*): tiles can then be laid so that every access is aligned
 *     in every lane, and only the first and the last tile of a row are partial.
 *   - If the next block takes the next row in every lane, each lane walks through memory on its own, in order. The
 *     longer those walks are, the better the processor foresees them.
 * So a batch is processed in groups of spread * LANES rows, lane i taking the i-th share of `spread` rows, where
 * spread * stride is a multiple of LANES. What is left at the end is done with neighbouring rows. Which code computes
 * a row never changes its result.
 */
#ifndef LOGSIG_ROWS_H
#define LOGSIG_ROWS_H

#include <errno.h>
#include <stdlib.h>
#if !defined(_OPENMP) && (defined(__unix__) || defined(__APPLE__))
#define LOGSIG_OWN_THREADS
#include <pthread.h>
#elif !defined(_OPENMP) && defined(_WIN32)
#define LOGSIG_OWN_THREADS
#include <process.h>
#include <stdint.h>
/* From windows.h, which takes words such as "near" away. */
__declspec(dllimport) unsigned long __stdcall WaitForSingleObject(void *handle, unsigned long milliseconds);
__declspec(dllimport) int __stdcall CloseHandle(void *handle);
#endif

#include "logsig_simd.h"

/* Rows of up to this many columns are not worth aligning. */
#ifndef LOGSIG_NARROW
#define LOGSIG_NARROW (2 * LOGSIG_LANES)
#endif

/* The longest walk of a lane, in rows: longer ones gain nothing. */
#ifndef LOGSIG_MAX_SPREAD
#define LOGSIG_MAX_SPREAD 512
#endif

/* Batches of more bytes than this are taken not to be in the cache next to the core; their lines are asked for that
 * many bytes ahead. */
#ifndef LOGSIG_NEAR_BYTES
#define LOGSIG_NEAR_BYTES (1024 * 1024)
#endif
#ifndef LOGSIG_AHEAD_BYTES
#define LOGSIG_AHEAD_BYTES 256
#endif

/* A frame of up to this many bytes lives on the stack; a call takes no more than 64 KiB of it in all. */
#ifndef LOGSIG_STACK_BYTES
#define LOGSIG_STACK_BYTES (32 * 1024)
#endif

/* Where all rows are narrow, so many lanes walk side by side: fewer, denser streams from memory. */
#ifndef LOGSIG_NEIGHBOURS
#define LOGSIG_NEIGHBOURS (LOGSIG_LANES < 4 ? 1 : 4)
#endif

/* Whether rows go to variables in tiles that begin where the rows do, and are not aligned. */
#ifndef LOGSIG_IN_TILES
#define LOGSIG_IN_TILES 0
#endif

#define LOGSIG_MAX_OPERANDS 16

#ifndef LOGSIG_OVERLAP
#if LOGSIG_AVX512
#define LOGSIG_OVERLAP 0
#else
#define LOGSIG_OVERLAP 1
#endif
#endif

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
    int next;             /* column where the next tile begins; the first begins at minus the phase */
    ptrdiff_t here;       /* from lane[i] to the row of lane i */
    ptrdiff_t ahead;      /* how far ahead to ask for lines; 0: not at all */
    uintptr_t phase_mask; /* LANES - 1 for tiles aligned to vectors, 0 for tiles that start with the row */
    const logsig_real *lane[LOGSIG_LANES];
} logsig_rows;

typedef void (*logsig_block_fn)(logsig_rows *rows, logsig_vec *frame);

/* ---- tiles ----------------------------------------------------------------------------------------------------- */

#ifdef __GNUC__
/* One tile in every 64 bytes asks for what comes later. A macro, as the second argument must be a literal. */
#define LOGSIG_ASK_AHEAD(rows, from, write) \
    do { \
        if ((rows)->ahead && !((uintptr_t)((rows)->lane[0] + (from)) & (64 - LOGSIG_VECTOR_BYTES))) { \
            LOGSIG_UNROLL \
            for (int i_ = 0; i_ < LOGSIG_LANES; i_++) \
                __builtin_prefetch((rows)->lane[i_] + (from) + (rows)->ahead, (write)); \
        } \
    } while (0)
#else
#define LOGSIG_ASK_AHEAD(rows, from, write) ((void)0)
#endif

/* The elements of the tile beginning at column `next` that lie within the row. */
LOGSIG_INLINE logsig_part logsig_inside(int next, int columns)
{
    return logsig_part_of(next < 0 ? -next : 0, columns - next < LOGSIG_LANES ? columns - next : LOGSIG_LANES);
}

/* A whole row of no more than `keep` columns, a constant. */
LOGSIG_INLINE void logsig_fetch_short(const logsig_rows *rows, int keep)
{
    const logsig_part part = logsig_part_of(0, rows->columns);
    logsig_vec tile[LOGSIG_LANES];
    LOGSIG_ASK_AHEAD(rows, rows->here, 0);
    LOGSIG_UNROLL
    for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = logsig_load_part(rows->lane[i] + rows->here, part);
    logsig_transpose_head(tile);
    LOGSIG_UNROLL
    for (int i = 0; i < keep; i++) rows->at[i] = tile[i];
}

LOGSIG_NOINLINE void logsig_fetch_tiles(logsig_rows *rows, int upto)
{
    const int columns = rows->columns;
    int next = rows->next;
    if (columns <= LOGSIG_LANES / 2) {
        if (columns <= LOGSIG_LANES / 4)
            logsig_fetch_short(rows, LOGSIG_LANES / 4);
        else
            logsig_fetch_short(rows, LOGSIG_LANES / 2);
        rows->next = columns;
        return;
    }
    do {
        logsig_vec tile[LOGSIG_LANES];
        const ptrdiff_t from = rows->here + next;
        LOGSIG_ASK_AHEAD(rows, from, 0);
        if (LOGSIG_LIKELY(next >= 0 && next + LOGSIG_LANES <= columns)) {
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = logsig_load(rows->lane[i] + from);
        } else {
            const logsig_part part = logsig_inside(next, columns);
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = logsig_load_part(rows->lane[i] + from, part);
        }
        logsig_transpose(tile);
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_LANES; i++) rows->at[next + i] = tile[i];
        next += LOGSIG_LANES;
    } while (next < upto);
    rows->next = next;
}

/* Whether the next tile of an output can be stored. */
LOGSIG_INLINE int logsig_ready(const logsig_rows *rows, int next, int upto)
{
#if LOGSIG_OVERLAP
    if (next < 0) next = 0;
#endif
    return next + LOGSIG_LANES <= upto || (upto == rows->columns && next < upto);
}

LOGSIG_NOINLINE void logsig_flush_tiles(logsig_rows *rows, int upto)
{
    const int columns = rows->columns;
    int next = rows->next;
    do {
        logsig_vec tile[LOGSIG_LANES];
        int first = next;
#if LOGSIG_OVERLAP
        /* Masked stores are slow here: move a partial tile into the row, writing some columns twice. */
        if (columns >= LOGSIG_LANES) {
            if (first < 0) first = 0;
            if (first > columns - LOGSIG_LANES) first = columns - LOGSIG_LANES;
        }
#endif
        const ptrdiff_t to = rows->here + first;
        LOGSIG_ASK_AHEAD(rows, to, 1);
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = rows->at[first + i];
        logsig_transpose(tile);
        if (LOGSIG_LIKELY(first >= 0 && first + LOGSIG_LANES <= columns)) {
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) logsig_store((logsig_real *)rows->lane[i] + to, tile[i]);
        } else {
            const logsig_part part = logsig_inside(first, columns);
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) logsig_store_part((logsig_real *)rows->lane[i] + to, part, tile[i]);
        }
        next += LOGSIG_LANES;
    } while (logsig_ready(rows, next, upto));
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
    if (logsig_ready(rows, rows->next, upto)) logsig_flush_tiles(rows, upto);
}

/* ---- tiles of variables ---------------------------------------------------------------------------------------- */

/* Rows that are short enough go to local arrays and come from them, in tiles that begin at columns 0, LANES, 2 LANES, ...
 * All indices are constant, so that compilers keep the vectors in registers as far as there are some. `columns` is the
 * length of a row; columns before `from` have been moved, those before `upto` are to be. */
#define LOGSIG_WHOLE(columns) (((columns) + LOGSIG_LANES - 1) / LOGSIG_LANES * LOGSIG_LANES)

/* Asks without asking whether to: nearby, for the lines that follow at once. */
#ifdef __GNUC__
#define LOGSIG_ASK_TILE(rows, next, write) \
    do { \
        if ((next) % (64 / (LOGSIG_REAL_BITS / 8)) == 0) { \
            LOGSIG_UNROLL \
            for (int i_ = 0; i_ < LOGSIG_LANES; i_++) \
                __builtin_prefetch((rows)->lane[i_] + (rows)->here + (next) + (rows)->ahead, (write)); \
        } \
    } while (0)
#else
#define LOGSIG_ASK_TILE(rows, next, write) ((void)0)
#endif

/* Tiles of columns that are needed from now on. */
LOGSIG_INLINE void logsig_fetch_whole(const logsig_rows *rows, logsig_vec *at, int from, int upto, int columns)
{
    LOGSIG_UNROLL
    for (int next = LOGSIG_WHOLE(from); next < upto; next += LOGSIG_LANES) {
        const logsig_part part = logsig_part_of(0, columns - next < LOGSIG_LANES ? columns - next : LOGSIG_LANES);
        logsig_vec *const tile = at + next;
        LOGSIG_ASK_TILE(rows, next, 0);
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_LANES; i++) {
            const logsig_real *const row = rows->lane[i] + rows->here + next;
            tile[i] = next + LOGSIG_LANES <= columns ? logsig_load(row) : logsig_load_part(row, part);
        }
        if (columns - next <= LOGSIG_LANES / 2)
            logsig_transpose_head(tile);
        else
            logsig_transpose(tile);
    }
}

/* Tiles whose columns are final. */
LOGSIG_INLINE void logsig_flush_whole(const logsig_rows *rows, const logsig_vec *at, int from, int upto, int columns)
{
    const int end = upto < columns ? upto / LOGSIG_LANES * LOGSIG_LANES : columns;
    LOGSIG_UNROLL
    for (int next = from / LOGSIG_LANES * LOGSIG_LANES; next < end; next += LOGSIG_LANES) {
        const int over = LOGSIG_OVERLAP && columns >= LOGSIG_LANES && next + LOGSIG_LANES > columns;
        const int first = over ? columns - LOGSIG_LANES : next;
        const logsig_part part = logsig_part_of(0, columns - first < LOGSIG_LANES ? columns - first : LOGSIG_LANES);
        logsig_vec tile[LOGSIG_LANES];
        LOGSIG_ASK_TILE(rows, next, 1);
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = at[first + i < columns ? first + i : columns - 1];
        logsig_transpose(tile);
        LOGSIG_UNROLL
        for (int i = 0; i < LOGSIG_LANES; i++) {
            logsig_real *const row = (logsig_real *)rows->lane[i] + rows->here + first;
            if (first + LOGSIG_LANES <= columns)
                logsig_store(row, tile[i]);
            else
                logsig_store_part(row, part, tile[i]);
        }
    }
}

/* ---- modes of arithmetic --------------------------------------------------------------------------------------- */

/* How a thread rounds, and whether it flushes subnormal numbers to zero. Workers take over the modes of the thread that
 * calls, and give back their own: the number of threads changes no bit of a result, whatever the modes. */
#if defined(__GNUC__) && defined(__SSE2__)
typedef unsigned logsig_modes;
LOGSIG_INLINE logsig_modes logsig_get_modes(void) { return __builtin_ia32_stmxcsr(); }
LOGSIG_INLINE void logsig_set_modes(logsig_modes modes) { __builtin_ia32_ldmxcsr(modes); }
#elif defined(__GNUC__) && defined(__aarch64__)
typedef uint64_t logsig_modes;
LOGSIG_INLINE logsig_modes logsig_get_modes(void)
{
    logsig_modes modes;
    __asm__ volatile("mrs %0, fpcr" : "=r"(modes));
    return modes;
}
LOGSIG_INLINE void logsig_set_modes(logsig_modes modes) { __asm__ volatile("msr fpcr, %0" : : "r"(modes)); }
#else
typedef int logsig_modes;
LOGSIG_INLINE logsig_modes logsig_get_modes(void) { return 0; }
LOGSIG_INLINE void logsig_set_modes(logsig_modes modes) { (void)modes; }
#endif

/* ---- threads and frames ---------------------------------------------------------------------------------------- */

/* Processes rows row ... end - 1 of a job with a frame of its own. */
typedef void (*logsig_range_fn)(const void *job, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end);

LOGSIG_NOINLINE int logsig_run_on_stack(const void *job, logsig_range_fn run, int frame_vectors, ptrdiff_t row,
                                        ptrdiff_t end)
{
#ifdef __GNUC__
    logsig_vec *const frame =
        (logsig_vec *)__builtin_alloca_with_align((size_t)frame_vectors * sizeof(logsig_vec), 8 * LOGSIG_VECTOR_BYTES);
#else
    logsig_vec frame[LOGSIG_STACK_BYTES / LOGSIG_VECTOR_BYTES];
    (void)frame_vectors;
#endif
    run(job, frame, row, end);
    return 0;
}

/* Memory for `count` numbers that begins with a cache line, wherever malloc() puts it, so that tiles of rows in it lie
 * alike in every call; zeros if `clear`. */
LOGSIG_INLINE logsig_real *logsig_lines(ptrdiff_t count, int clear)
{
    const size_t bytes = (size_t)(count + 1) * sizeof(logsig_real) + sizeof(void *) + 63;
    char *const memory = (char *)(clear ? calloc(bytes, 1) : malloc(bytes));
    if (!memory) return NULL;
    char *const at = memory + sizeof(void *) + (-(uintptr_t)(memory + sizeof(void *)) & 63);
    ((void **)at)[-1] = memory;
    return (logsig_real *)at;
}

LOGSIG_INLINE logsig_real *logsig_numbers(ptrdiff_t count) { return logsig_lines(count, 0); }

LOGSIG_INLINE void logsig_free_numbers(logsig_real *numbers)
{
    if (numbers) free(((void **)numbers)[-1]);
}

LOGSIG_NOINLINE int logsig_run_on_heap(const void *job, logsig_range_fn run, int frame_vectors, ptrdiff_t row,
                                       ptrdiff_t end)
{
    logsig_real *const memory = logsig_numbers((ptrdiff_t)frame_vectors * LOGSIG_LANES);
    if (!memory) return ENOMEM;
    run(job, (logsig_vec *)memory, row, end);
    logsig_free_numbers(memory);
    return 0;
}

LOGSIG_INLINE int logsig_run_serially(const void *job, logsig_range_fn run, int frame_vectors, ptrdiff_t row,
                                      ptrdiff_t end)
{
    if ((size_t)frame_vectors * sizeof(logsig_vec) <= LOGSIG_STACK_BYTES)
        return logsig_run_on_stack(job, run, frame_vectors, row, end);
    return logsig_run_on_heap(job, run, frame_vectors, row, end);
}

/* A job over rows that threads divide: each takes whole blocks of LANES rows, the first `extra` threads one more. */
typedef struct {
    const void *job;
    logsig_range_fn run;
    int frame_vectors;
    ptrdiff_t batch, share, extra;
    logsig_modes modes; /* of the thread that calls */
} logsig_division;

/* Runs the part of thread t. */
LOGSIG_INLINE int logsig_run_part(const logsig_division *all, int t)
{
    const ptrdiff_t row = (t * all->share + (t < all->extra ? t : all->extra)) * LOGSIG_LANES;
    const ptrdiff_t end = row + (all->share + (t < all->extra)) * LOGSIG_LANES;
    const logsig_modes own = logsig_get_modes();
    logsig_set_modes(all->modes);
    const int error =
        logsig_run_serially(all->job, all->run, all->frame_vectors, row, end < all->batch ? end : all->batch);
    logsig_set_modes(own);
    return error;
}

/* Runs all parts, by OpenMP's threads; without OpenMP by threads that live as long as the call, where there are any. */
#ifdef LOGSIG_OWN_THREADS
#ifdef _WIN32
typedef uintptr_t logsig_thread;
#define LOGSIG_THREAD_RESULT unsigned __stdcall
#else
typedef pthread_t logsig_thread;
#define LOGSIG_THREAD_RESULT void *
#endif

typedef struct {
    const logsig_division *all;
    int part, error;
    logsig_thread thread;
} logsig_worker;

static inline LOGSIG_THREAD_RESULT logsig_work(void *worker)
{
    logsig_worker *const mine = (logsig_worker *)worker;
    mine->error = logsig_run_part(mine->all, mine->part);
    return 0;
}

/* Whether a thread has started. */
static inline int logsig_begin_thread(logsig_worker *worker)
{
#ifdef _WIN32
    worker->thread = _beginthreadex(NULL, 0, logsig_work, worker, 0, NULL);
    return worker->thread != 0;
#else
    return !pthread_create(&worker->thread, NULL, logsig_work, worker);
#endif
}

static inline void logsig_end_thread(logsig_worker *worker)
{
#ifdef _WIN32
    WaitForSingleObject((void *)worker->thread, 0xFFFFFFFF);
    CloseHandle((void *)worker->thread);
#else
    pthread_join(worker->thread, NULL);
#endif
}

static inline int logsig_run_parts(const logsig_division *all, int threads)
{
    logsig_worker *const workers = (logsig_worker *)malloc((size_t)threads * sizeof(logsig_worker));
    int started = 1, error;
    if (!workers) return ENOMEM;
    for (; started < threads; started++) {
        workers[started].all = all;
        workers[started].part = started;
        if (!logsig_begin_thread(&workers[started])) break;
    }
    error = logsig_run_part(all, 0);
    for (int t = started; t < threads; t++) error |= logsig_run_part(all, t); /* those that got no thread */
    for (int t = 1; t < started; t++) {
        logsig_end_thread(&workers[t]);
        error |= workers[t].error;
    }
    free(workers);
    return error;
}
#else
static inline int logsig_run_parts(const logsig_division *all, int threads)
{
    int error = 0;
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(threads) reduction(| : error)
#endif
    for (int t = 0; t < threads; t++) error |= logsig_run_part(all, t);
    return error;
}
#endif

/* Runs a job over rows 0 ... batch - 1 with up to n_jobs threads, each taking whole blocks of LANES rows. Returns 0, or
 * ENOMEM when there is no room for a frame, and then the outputs are not all written. With n_jobs == 1 no thread is
 * started, and the OpenMP runtime is left alone. */
LOGSIG_INLINE int logsig_share(const void *job, logsig_range_fn run, int frame_vectors, ptrdiff_t batch, int n_jobs)
{
    if (batch <= 0) return 0;
    const ptrdiff_t blocks = (batch - 1) / LOGSIG_LANES + 1;
    const int threads = blocks < n_jobs ? (int)blocks : n_jobs;
    if (threads > 1) {
        const logsig_division all = {job, run, frame_vectors, batch, blocks / threads, blocks % threads,
                                     logsig_get_modes()};
        return logsig_run_parts(&all, threads);
    }
    return logsig_run_serially(job, run, frame_vectors, 0, batch);
}

/* ---- blocks ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const logsig_operand *operands;
    int n_operands;
    int unit; /* every spread that keeps the phases equal is a multiple of it */
    int near; /* lanes that walk side by side */
    int far;  /* whether to ask for lines ahead */
    logsig_block_fn block;
} logsig_job;

/* Takes rows into the lanes, `live` of them: first, first + spread, ..., and `near` neighbours of each, unit apart; spare
 * lanes repeat the last one, which makes them store the same bytes to the same place. */
LOGSIG_INLINE void logsig_take(const logsig_job *job, logsig_rows *rows, logsig_vec *frame, ptrdiff_t first,
                               ptrdiff_t spread, int live, int aligned)
{
    const int near = aligned ? job->near : 1;
    const ptrdiff_t back = (near - 1) * job->unit;
    for (int k = 0; k < job->n_operands; k++) {
        const logsig_operand *const operand = &job->operands[k];
        const logsig_real *row = operand->data + first * operand->stride;
        rows[k].at = frame + operand->home;
        rows[k].columns = operand->columns;
        rows[k].here = 0;
        rows[k].ahead = job->far ? LOGSIG_AHEAD_BYTES / (LOGSIG_REAL_BITS / 8) : 0;
        rows[k].phase_mask = aligned && !LOGSIG_IN_TILES && operand->columns > LOGSIG_NARROW ? LOGSIG_LANES - 1 : 0;
        for (int i = 0; i < LOGSIG_LANES; i++) {
            rows[k].lane[i] = row;
            if (i + 1 < live) row += ((i + 1) % near ? job->unit : spread - back) * operand->stride;
        }
    }
}

/* Runs the block that lies `ahead` rows beyond the ones taken. */
LOGSIG_INLINE void logsig_run_block(const logsig_job *job, logsig_rows *rows, logsig_vec *frame, ptrdiff_t ahead)
{
    for (int k = 0; k < job->n_operands; k++) {
        rows[k].here = ahead * job->operands[k].stride;
        rows[k].next = -(int)((uintptr_t)(rows[k].lane[0] + rows[k].here) / sizeof(logsig_real) & rows[k].phase_mask);
    }
    job->block(rows, frame);
}

/* Whether lanes that far apart would compete for the same few places of the first-level cache, where addresses equal
 * modulo 4096 go. */
LOGSIG_INLINE int logsig_crowded(const logsig_job *job, ptrdiff_t spread)
{
    for (int k = 0; k < job->n_operands; k++) {
        const size_t distance = (size_t)(spread * job->operands[k].stride) * sizeof(logsig_real);
        for (size_t i = 1; i < LOGSIG_LANES; i++)
            if (job->operands[k].stride && (i * distance + 128) % 4096 < 256) return 1;
    }
    return 0;
}

LOGSIG_NOINLINE void logsig_run_rows(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_job *const job = given;
    logsig_rows rows[LOGSIG_MAX_OPERANDS];
    const ptrdiff_t unit = job->unit, step = unit * job->near;
    while (end - row >= unit * LOGSIG_LANES) {
        ptrdiff_t spread = (end - row) / (unit * LOGSIG_LANES) * step;
        if (spread > LOGSIG_MAX_SPREAD) spread = LOGSIG_MAX_SPREAD / step * step;
        for (int tries = 0; tries < 16 && spread > step && logsig_crowded(job, spread); tries++) spread -= step;
        logsig_take(job, rows, frame, row, spread, LOGSIG_LANES, 1);
        for (ptrdiff_t p = 0; p < spread; p += step)
            for (ptrdiff_t q = 0; q < unit; q++) logsig_run_block(job, rows, frame, p + q);
        row += spread * (LOGSIG_LANES / job->near);
    }
    for (; row < end; row += LOGSIG_LANES) {
        logsig_take(job, rows, frame, row, 1, end - row < LOGSIG_LANES ? (int)(end - row) : LOGSIG_LANES, 0);
        logsig_run_block(job, rows, frame, 0);
    }
}

/* The smallest distance between rows after which every wide operand has the phase it started with. */
LOGSIG_INLINE int logsig_unit(const logsig_operand *operands, int n_operands)
{
    ptrdiff_t bits = LOGSIG_LANES;
    for (int k = 0; k < n_operands; k++)
        if (!LOGSIG_IN_TILES && operands[k].columns > LOGSIG_NARROW) bits |= operands[k].stride;
    return (int)(LOGSIG_LANES / (bits & -bits));
}

LOGSIG_INLINE int logsig_near(const logsig_operand *operands, int n_operands)
{
    for (int k = 0; k < n_operands; k++)
        if (operands[k].columns > LOGSIG_NARROW) return 1;
    return LOGSIG_NEIGHBOURS;
}

LOGSIG_INLINE int logsig_is_far(const logsig_operand *operands, int n_operands, ptrdiff_t batch)
{
    ptrdiff_t columns = 0;
    for (int k = 0; k < n_operands; k++) columns += operands[k].columns;
    return batch > LOGSIG_NEAR_BYTES / (LOGSIG_REAL_BITS / 8) / (columns + 1);
}

/* Runs `block` over the whole batch; see logsig_share. */
LOGSIG_UNUSED static int logsig_run(const logsig_operand *operands, int n_operands, ptrdiff_t batch, int n_jobs,
                                    int frame_vectors, logsig_block_fn block)
{
    const logsig_job job = {operands,
                            n_operands,
                            logsig_unit(operands, n_operands),
                            logsig_near(operands, n_operands),
                            logsig_is_far(operands, n_operands, batch),
                            block};
    return logsig_share(&job, logsig_run_rows, frame_vectors, batch, n_jobs);
}

#endif
