/* Calls functions of a generated library, and times them or makes them once for a program that counts instructions.
 *
 * benchmarks/calls.py compiles it, once for each number type, and writes its input, a line for each call:
 *
 *     rows LIBRARY FUNCTION BATCH INPUTS OPERANDS COLUMNS ...
 *     path LIBRARY FUNCTION BATCH DIMENSION SIZE LENGTH STREAM STATE WINDOW STEP BACKWARD BYTES
 *
 * FUNCTION is the name up to the operation: logsig_d2_n3_; rows have the operation as their last word. With "count" each
 * call is made twice, the second time by measured(), whose instructions are to be counted. With "time ROUNDS SECONDS" a
 * line of three numbers is printed for each round: nanoseconds of a call, of a copy that reads and writes as many bytes as
 * the call does, and of a multiply-add of one number in vectors of the kernels' width, in turns; an empty line ends a call.
 * With "choices" the numbers by which the headers choose are printed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "logsig_path_call.h"
#include "logsig_paths.h"

#if LOGSIG_REAL_BITS == 64
#define SUFFIX "f64"
#else
#define SUFFIX "f32"
#endif

enum { MOST_OPERANDS = 8, CHAINS = 12 };
typedef int (*path_function)(const logsig_path_call *);

typedef struct {
    void *function;
    int operands; /* 0: a call along paths */
    logsig_real *at[MOST_OPERANDS];
    ptrdiff_t columns[MOST_OPERANDS], batch;
    logsig_path_call path;
    size_t bytes;
} call;

static void *memory[64];
static int blocks;

static void *need(void *found, const char *what)
{
    if (!found) fprintf(stderr, "calls: %s\n", what), exit(1);
    return found;
}

/* Numbers at the start of a cache line: small ones at random, or zeros. */
static logsig_real *numbers(ptrdiff_t count, int random)
{
    const size_t bytes = ((size_t)count * sizeof(logsig_real) / 64 + 1) * 64;
    logsig_real *const at = need(aligned_alloc(64, bytes), "no memory");
    static unsigned state = 1;
    memory[blocks++] = at;
    memset(at, 0, bytes);
    for (ptrdiff_t k = 0; random && k < count; k++) {
        state = state * 1664525u + 1013904223u;
        at[k] = (logsig_real)((double)(state >> 8) / (1 << 25) - 0.25);
    }
    return at;
}

#define AT(k) c->at[k], c->columns[k]
#define A void *, ptrdiff_t

__attribute__((noinline, noclone)) int measured(const call *c);

static inline __attribute__((always_inline)) int make(const call *c)
{
    switch (c->operands) {
    case 0: return ((path_function)c->function)(&c->path);
    case 2: return ((int (*)(A, A, ptrdiff_t, int))c->function)(AT(0), AT(1), c->batch, 1);
    case 3: return ((int (*)(A, A, A, ptrdiff_t, int))c->function)(AT(0), AT(1), AT(2), c->batch, 1);
    case 4: return ((int (*)(A, A, A, A, ptrdiff_t, int))c->function)(AT(0), AT(1), AT(2), AT(3), c->batch, 1);
    case 5:
        return ((int (*)(A, A, A, A, A, ptrdiff_t, int))c->function)(AT(0), AT(1), AT(2), AT(3), AT(4), c->batch, 1);
    case 8:
        return ((int (*)(A, A, A, A, A, A, A, A, ptrdiff_t, int))c->function)(AT(0), AT(1), AT(2), AT(3), AT(4), AT(5),
                                                                             AT(6), AT(7), c->batch, 1);
    default: return -1;
    }
}

int measured(const call *c) { return make(c); }

static void *function(const char *library, const char *prefix, const char *operation)
{
    char name[256];
    void *const handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) fprintf(stderr, "calls: %s\n", dlerror()), exit(1);
    snprintf(name, sizeof name, "%s%s_" SUFFIX, prefix, operation);
    return need(dlsym(handle, name), name);
}

static call rows_of(const char *library, char **rest)
{
    char prefix[160], operation[64];
    int inputs, used;
    call c = {.path = {0}};
    if (sscanf(*rest, "%159s %63s %td %d %d%n", prefix, operation, &c.batch, &inputs, &c.operands, &used) != 5)
        need(NULL, *rest);
    *rest += used;
    c.function = function(library, prefix, operation);
    for (int k = 0; k < c.operands; k++) {
        c.columns[k] = strtol(*rest, rest, 10);
        c.at[k] = numbers(c.columns[k] * c.batch, k < inputs);
        c.bytes += (size_t)(c.columns[k] * c.batch) * sizeof(logsig_real);
    }
    return c;
}

/* Paths with what a gradient needs: the result, made here, and derivatives; streams go on from a log-signature. */
static call path_of(const char *library, const char *text)
{
    char prefix[160];
    ptrdiff_t dimension, size;
    int backward;
    call c = {.path = {.struct_size = sizeof c.path, .n_jobs = 1, .method = 2}};
    logsig_path_call *const p = &c.path;
    if (sscanf(text, "%159s %td %td %td %td %d %d %td %td %d %zu", prefix, &p->batch, &dimension, &size, &p->length,
               &p->stream, &p->state, &p->window, &p->step, &backward, &c.bytes) != 11)
        need(NULL, text);
    const ptrdiff_t rows = p->stream ? p->length - 1 : p->window ? logsig_window_count(p->length, p->window, p->step) : 1;
    p->path_stride = p->d_path_stride = p->length * dimension;
    logsig_real *const points = numbers(p->path_stride * p->batch, 1);
    for (ptrdiff_t k = dimension; k < p->path_stride * p->batch; k++) /* sums of steps: random walks */
        points[k] = points[k] / 8 + (k % p->path_stride < dimension ? 0 : points[k - dimension]);
    p->path = points;
    p->out_stride = p->d_out_stride = p->result_stride = p->stream ? rows * size : size;
    p->out = numbers(rows * size * p->batch, 0);
    if (p->stream) {
        p->initial = numbers(size * p->batch, 1);
        p->initial_stride = p->d_initial_stride = size;
        p->initial_rows = p->batch;
    }
    c.function = function(library, prefix, "paths");
    if (!backward) return c;
    if (make(&c)) need(NULL, "a path's log-signature failed");
    if (!p->window) p->result = p->out;
    p->d_out = numbers(rows * size * p->batch, 1);
    p->d_path = numbers(p->path_stride * p->batch, 0);
    if (p->stream) p->d_initial = numbers(size * p->batch, 0);
    c.function = function(library, prefix, "paths_backprop");
    return c;
}

/* ---- times -------------------------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

typedef struct {
    const call *c;
    logsig_real *from, *to;
} job;

static void do_call(const job *j, ptrdiff_t repeats)
{
    for (ptrdiff_t k = 0; k < repeats; k++) measured(j->c);
}

static void do_copy(const job *j, ptrdiff_t repeats)
{
    for (ptrdiff_t k = 0; k < repeats; k++) {
        memcpy(j->to, j->from, j->c->bytes / 2);
        __asm__ volatile("" ::: "memory");
    }
}

/* A chain of multiply-adds in each of CHAINS registers, more than are in flight. Volatile: no two are known to be equal. */
static void do_multiply(const job *j, ptrdiff_t repeats)
{
    const logsig_vec x = LOGSIG_SET1((logsig_real)0.5), y = LOGSIG_SET1((logsig_real)0.25);
    static volatile logsig_real start[CHAINS];
    logsig_vec sums[CHAINS];
    (void)j;
    LOGSIG_UNROLL
    for (int i = 0; i < CHAINS; i++) sums[i] = LOGSIG_SET1(start[i]);
    for (ptrdiff_t k = 0; k < repeats; k++) {
        LOGSIG_UNROLL
        for (int i = 0; i < CHAINS; i++) sums[i] = LOGSIG_FMA(sums[i], x, y);
    }
    LOGSIG_UNROLL
    for (int i = 0; i < CHAINS; i++) __asm__ volatile("" ::"m"(sums[i]));
}

typedef void (*repeated)(const job *, ptrdiff_t);

/* Nanoseconds of one. */
static double sample(repeated what, const job *j, ptrdiff_t repeats)
{
    what(j, 1); /* after what another sample left in the caches */
    const double start = now();
    what(j, repeats);
    return (now() - start) / (double)repeats;
}

static void take_times(const call *c, int rounds, double seconds)
{
    static const repeated all[3] = {do_call, do_copy, do_multiply};
    const job j = {c, numbers((ptrdiff_t)(c->bytes / 2 / sizeof(logsig_real)) + 1, 1),
                   numbers((ptrdiff_t)(c->bytes / 2 / sizeof(logsig_real)) + 1, 0)};
    ptrdiff_t repeats[3];
    for (int k = 0; k < 3; k++) {
        double one = sample(all[k], &j, 1);
        if (one < 1e4) one = sample(all[k], &j, 1 + (ptrdiff_t)(1e5 / (one + 1)));
        repeats[k] = 1 + (ptrdiff_t)(seconds * 1e9 / (one + 0.1));
    }
    for (int round = 0; round < rounds; round++) {
        double found[3];
        for (int i = 0; i < 3; i++) {
            const int k = round % 2 ? 2 - i : i;
            found[k] = sample(all[k], &j, repeats[k]);
        }
        printf("%.6g %.6g %.6g\n", found[0], found[1], found[2] / (CHAINS * LOGSIG_LANES));
    }
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const int counts = argc > 1 && !strcmp(argv[1], "count"), times = argc > 3 && !strcmp(argv[1], "time");
    char line[1024], kind[16], library[512];
    if (argc > 1 && !strcmp(argv[1], "choices")) {
#define CHOICE(name) printf(#name " %ld\n", (long)LOGSIG_##name)
        CHOICE(LANES);
        CHOICE(NEIGHBOURS);
        CHOICE(MAX_SPREAD);
        CHOICE(NEAR_BYTES);
        CHOICE(CHUNK_COLUMNS);
        CHOICE(PIECE_STEPS);
        return 0;
    }
    if (!counts && !times) return fprintf(stderr, "calls: count, time ROUNDS SECONDS, or choices\n"), 1;
    while (fgets(line, sizeof line, stdin)) {
        int used;
        if (sscanf(line, "%15s %511s%n", kind, library, &used) != 2) continue;
        char *rest = line + used;
        const call c = strcmp(kind, "rows") ? path_of(library, rest) : rows_of(library, &rest);
        if (make(&c)) need(NULL, line);
        if (counts)
            measured(&c);
        else
            take_times(&c, atoi(argv[2]), atof(argv[3]));
        while (blocks) free(memory[--blocks]);
    }
    return 0;
}
