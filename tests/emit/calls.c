/* Calls of d2_n3 through the struct, as tests/emit/test_calls.py expects them. Prints results and gradients. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "logsig_d2_n3.h"

enum { PATHS = 3, POINTS = 7, D = 2, SIZE = 5, WORDS = 14 };

static double path[PATHS][POINTS][D], initial[PATHS][SIZE];
static double out[4096], d_out[4096], d_path[PATHS][POINTS][D], d_initial[PATHS][SIZE];
static const ptrdiff_t lengths[PATHS] = {7, 4, 1}, starts[PATHS] = {28, 0, 14};

static void show(const double *numbers, ptrdiff_t count)
{
    for (ptrdiff_t k = 0; k < count; k++) printf("%.17g ", numbers[k]);
}

/* Runs a call with `rows` rows of `width` numbers, `apart` from one another, forth and back, and prints what it gives. */
static int run(logsig_path_call *call, ptrdiff_t blocks, ptrdiff_t width, ptrdiff_t apart)
{
    for (int k = 0; k < 4096; k++) out[k] = 7, d_out[k] = k % 11 - 5;
    memset(d_path, 77, sizeof d_path);
    memset(d_initial, 77, sizeof d_initial);
    call->struct_size = sizeof *call;
    call->batch = PATHS;
    call->length = POINTS;
    call->out = out;
    call->out_stride = call->d_out_stride = apart;
    if (logsig_d2_n3_paths_f64(call)) return 1;
    for (ptrdiff_t k = 0; k < blocks; k++) {
        show(out + k * apart, width);
        for (ptrdiff_t j = width; j < apart; j++)
            if (out[k * apart + j] != 7) return 1; /* what lies between rows stays as it is */
    }
    call->d_out = d_out;
    call->d_path = d_path;
    call->d_initial = d_initial;
    call->d_initial_stride = SIZE;
    if (logsig_d2_n3_paths_backprop_f64(call)) return 1;
    show(d_path[0][0], sizeof d_path / sizeof(double));
    if (call->initial) show(d_initial[0], call->initial_rows * SIZE);
    puts("");
    return 0;
}

int main(void)
{
    static const ptrdiff_t of[PATHS] = {1, 0, 1}, paths_of[4] = {2, 0, 1, 0}, initials_of[4] = {0, 1, 1, 0};
    static const ptrdiff_t shared[] = {0, 6, 2, 1, 3, 3, 1, 5, 4, 6}, own[] = {0, 6, 1, 3, 2, 5, 0, 2, 6, 6, 0, 1};
    static const ptrdiff_t wrong[] = {0, 6, 3, 7};
    for (int k = 0; k < PATHS * POINTS * D; k++) (&path[0][0][0])[k] = k * k % 13 - 6;
    for (int k = 0; k < PATHS * SIZE; k++) (&initial[0][0])[k] = k % 4 - 2;
    const logsig_path_call plain = {.n_jobs = 1, .method = 2, .path = path, .path_stride = POINTS * D,
                                    .d_path_stride = POINTS * D, .lengths = lengths, .state = LOGSIG_LOG_DERIVATIVE};
    logsig_path_call call = plain;

    call.method = 1, call.window = 4, call.step = 1; /* windows that overlap, in two threads */
    call.n_jobs = 2;
    if (run(&call, PATHS * 4, SIZE, SIZE + 1)) return 1;
    call.method = 0, call.window = 3, call.step = 2; /* on all words, paths in an order of their own */
    call.starts = starts;
    if (run(&call, PATHS * 3, WORDS, WORDS)) return 1;
    call = plain; /* one row of initial for all */
    call.method = 1, call.initial = initial, call.initial_stride = SIZE, call.initial_rows = 1;
    if (run(&call, PATHS, SIZE, SIZE)) return 1;
    call.initial_rows = 2, call.path_of = paths_of, call.initial_of = initials_of; /* both operands are shared */
    call.rows = 4, call.method = 0, call.state = LOGSIG_SIGNATURE;
    if (run(&call, 4, WORDS, WORDS + 3)) return 1;
    call = plain; /* streams */
    call.stream = 1, call.method = 0, call.initial = initial, call.initial_stride = SIZE, call.initial_rows = 2;
    call.initial_of = of;
    if (run(&call, PATHS, (POINTS - 1) * WORDS, (POINTS - 1) * WORDS + 2)) return 1;

    call = plain; /* intervals: the same for all paths, and of each, on all words, paths in an order of their own */
    call.method = 1, call.intervals = shared, call.intervals_per_path = 5, call.n_jobs = 2;
    if (run(&call, PATHS * 5, SIZE, SIZE + 1)) return 1;
    call.intervals = own, call.intervals_per_path = 2, call.intervals_stride = 4, call.method = 0;
    call.starts = starts, call.state = LOGSIG_SIGNATURE;
    if (run(&call, PATHS * 2, WORDS, WORDS)) return 1;

    call = plain; /* what is wrong is refused */
    call.struct_size = sizeof call, call.batch = PATHS, call.length = 6, call.out = out;
    if (logsig_d2_n3_paths_f64(&call) != EINVAL) return 1;
    if (strcmp(logsig_path_call_error(&call, 0), "lengths: expected values from 0 to length")) return 1;
    call.length = POINTS, call.intervals = wrong, call.intervals_per_path = 2;
    if (logsig_d2_n3_paths_f64(&call) != EINVAL || strncmp(logsig_path_call_error(&call, 0), "intervals", 9)) return 1;
    call.intervals_per_path = 1, call.stream = 1;
    if (logsig_d2_n3_paths_f64(&call) != EINVAL || strncmp(logsig_path_call_error(&call, 0), "intervals", 9)) return 1;
    call.intervals = NULL, call.stream = 0, call.struct_size = 8;
    return logsig_d2_n3_paths_f64(&call) == EINVAL ? 0 : 1;
}
