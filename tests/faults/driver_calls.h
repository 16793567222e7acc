/* Random calls of every function of one number type: REAL, FN(name), REAL_NAME(name), and the row functions of cases.h. */

typedef struct {
    const char *name;
    int (*call)(REAL *const *at, const ptrdiff_t *stride, ptrdiff_t batch, int n_jobs);
    int inputs, outputs, columns[MOST_OPERANDS];
} REAL_NAME(row_case);

#include "cases.h"

/* Rows of one array. */
typedef struct {
    REAL *at;
    ptrdiff_t stride, rows, width;
    unsigned char *low, *high; /* what can be touched, but for the gaps of a comb */
    int tooth;                 /* -1: no comb */
} REAL_NAME(array);

#define ARRAY REAL_NAME(array)

static edges REAL_NAME(read_only)[READ_ONLY], REAL_NAME(written)[WRITTEN];

static inline REAL REAL_NAME(number)(int wild)
{
    static const REAL odd[] = {0, -(REAL)0, (REAL)1e30, (REAL)-1e-38, (REAL)INFINITY, (REAL)NAN, (REAL)-INFINITY};
    if (wild && once_in(3)) return odd[any(7)];
    return (REAL)(int32_t)random_bits() / (REAL)2147483648.0;
}

/* The last of the read-only arrays has infinities and the like. */
static void REAL_NAME(open_memory)(void)
{
    for (int k = 0; k < READ_ONLY; k++) {
        edges *const at = &REAL_NAME(read_only)[k];
        *at = new_edges();
        REAL *const strip = (REAL *)at->strip;
        for (ptrdiff_t i = 0; i < STRIP / (ptrdiff_t)sizeof(REAL); i++) strip[i] = REAL_NAME(number)(k == READ_ONLY - 1);
        for (int c = 0; c < TEETH; c++)
            for (ptrdiff_t t = 0; t < tooth_count(c); t++)
                memcpy(at->combs[c] + t * tooth_period(c), at->strip + t * PAGE, (size_t)tooth_bytes(c));
        only_read(at);
    }
    for (int k = 0; k < WRITTEN; k++) REAL_NAME(written)[k] = new_edges();
}

/* ---- arrays of rows -------------------------------------------------------------------------------------------- */

static int REAL_NAME(tooth_for)(ptrdiff_t rows, ptrdiff_t width)
{
    for (int k = 0; k < TEETH; k++)
        if (tooth_bytes(k) >= width * (ptrdiff_t)sizeof(REAL)) return rows <= tooth_count(k) ? k : -1;
    return -1;
}

static ARRAY REAL_NAME(in_comb)(const edges *memory, int tooth, ptrdiff_t rows, ptrdiff_t width, int backwards)
{
    const ptrdiff_t period = tooth_period(tooth) / (ptrdiff_t)sizeof(REAL), most = tooth_count(tooth);
    const int near = !once_in(16); /* mostly where the processor's caches have it */
    const ptrdiff_t apart = rows > 1 && !near ? 1 + any((most - 1) / (rows - 1)) : 1;
    const ptrdiff_t spare = most - 1 - (rows ? rows - 1 : 0) * apart;
    const ptrdiff_t first = (near ? 0 : any(1 + spare)) + (backwards && rows ? (rows - 1) * apart : 0);
    const ptrdiff_t shift = once_in(3) ? 0 : tooth_bytes(tooth) / (ptrdiff_t)sizeof(REAL) - width;
    REAL *const at = (REAL *)memory->combs[tooth] + first * period + shift;
    return (ARRAY){at, (backwards ? -apart : apart) * period, rows, width, memory->combs[tooth], NULL, tooth};
}

/* Rows in a strip: together, with gaps, far from one another, one after the other backwards, all in one place. */
static ARRAY REAL_NAME(in_strip)(unsigned char *low, ptrdiff_t rows, ptrdiff_t width, int input)
{
    const ptrdiff_t numbers = STRIP / (ptrdiff_t)sizeof(REAL);
    const ptrdiff_t most = rows > 1 ? (numbers - width) / (rows - 1) : width + 9;
    const int kind = (int)any(input ? 6 : 4);
    const ptrdiff_t far = kind == 3 ? any(once_in(16) ? 1 + most : 600) : 0;
    ptrdiff_t apart = width + (kind == 1 ? any(10) : kind == 2 ? 16 - width % 16 : far);
    if (kind == 5) apart = 0;
    if (apart > most) apart = width;
    const ptrdiff_t span = rows ? (rows - 1) * apart + width : 0, spare = numbers - span;
    const ptrdiff_t begin = once_in(16) ? any(1 + spare) : any(2) ? spare : 0;
    ARRAY made = {(REAL *)low + begin, apart, rows, width, low, low + STRIP, -1};
    if (kind == 4 && rows) made.at += (rows - 1) * apart, made.stride = -apart;
    return made;
}

static ARRAY REAL_NAME(on_heap)(ptrdiff_t rows, ptrdiff_t width, int input)
{
    const ptrdiff_t apart = input && once_in(6) ? 0 : width + (any(2) ? any(10) : 0);
    const ptrdiff_t span = rows ? (rows - 1) * apart + width : 0;
    REAL *const at = hold((size_t)span * sizeof(REAL));
    for (ptrdiff_t i = 0; input && i < span; i++) at[i] = REAL_NAME(number)(0);
    ARRAY made = {at, apart, rows, width, (unsigned char *)at, (unsigned char *)(at + span), -1};
    if (input && rows && once_in(4)) made.at += (rows - 1) * apart, made.stride = -apart;
    return made;
}

static ARRAY REAL_NAME(place)(const edges *memory, ptrdiff_t rows, ptrdiff_t width, int input)
{
#ifdef LOGSIG_HEAP
    (void)memory;
    return REAL_NAME(on_heap)(rows, width, input);
#else
    const int tooth = REAL_NAME(tooth_for)(rows, width);
    if (tooth >= 0 && any(2)) return REAL_NAME(in_comb)(memory, tooth, rows, width, input && once_in(4));
    return REAL_NAME(in_strip)(memory->strip, rows, width, input);
#endif
}

static ARRAY REAL_NAME(input)(int slot, ptrdiff_t rows, ptrdiff_t width)
{
    return REAL_NAME(place)(&REAL_NAME(read_only)[slot], rows, width, 1);
}

static ARRAY REAL_NAME(output)(int slot, ptrdiff_t rows, ptrdiff_t width)
{
    return REAL_NAME(place)(&REAL_NAME(written)[slot], rows, width, 0);
}

/* The bytes around a row of an output that belong to no row, some of them: from the first to the row, and from its end to
 * the last. */
static void REAL_NAME(around)(const ARRAY *array, ptrdiff_t row, unsigned char **first, unsigned char **last)
{
    const REAL *const begin = array->at + row * array->stride, *const end = begin + array->width;
    unsigned char *low = array->low, *high = array->high;
    if (array->tooth >= 0) {
        low += ((unsigned char *)begin - low) / tooth_period(array->tooth) * tooth_period(array->tooth);
        high = low + tooth_bytes(array->tooth);
    }
    if (row && (unsigned char *)(end - array->stride) > low) low = (unsigned char *)(end - array->stride);
    if (row + 1 < array->rows && (unsigned char *)(begin + array->stride) < high)
        high = (unsigned char *)(begin + array->stride);
    *first = (unsigned char *)begin - low > SEEN ? (unsigned char *)begin - SEEN : low;
    *last = high - (unsigned char *)end > SEEN ? (unsigned char *)end + SEEN : high;
}

/* Puts canaries where an array is to be written, and around it. */
static void REAL_NAME(mark)(const ARRAY *array)
{
    unsigned char *first, *last;
    for (ptrdiff_t row = 0; row < array->rows; row++) {
        REAL_NAME(around)(array, row, &first, &last);
        memset(first, CANARY, (size_t)(last - first));
    }
}

/* Makes sure that nothing was written beside the rows. */
static void REAL_NAME(check_around)(const ARRAY *array)
{
    unsigned char *first, *last;
    for (ptrdiff_t row = 0; row < array->rows; row++) {
        const REAL *const begin = array->at + row * array->stride;
        REAL_NAME(around)(array, row, &first, &last);
        EXPECT(is_marked(first, begin), "written before row %td of %td", row, array->rows);
        EXPECT(is_marked(begin + array->width, last), "written behind row %td of %td", row, array->rows);
    }
}

static void REAL_NAME(check_equal)(const ARRAY *one, const ARRAY *other)
{
    for (ptrdiff_t row = 0; row < one->rows; row++)
        EXPECT(!memcmp(one->at + row * one->stride, other->at + row * other->stride, (size_t)one->width * sizeof(REAL)),
               "row %td of %td depends on the layout or the threads", row, one->rows);
}

/* ---- functions of rows ----------------------------------------------------------------------------------------- */

static void REAL_NAME(check_alone)(const REAL_NAME(row_case) *one, REAL *const *at, const ptrdiff_t *stride, ptrdiff_t row)
{
    static REAL alone[MOST_OPERANDS][MOST_COLUMNS];
    REAL *there[MOST_OPERANDS];
    for (int k = 0; k < one->inputs; k++) there[k] = at[k] + row * stride[k];
    for (int k = 0; k < one->outputs; k++) there[one->inputs + k] = alone[k];
    const int status = one->call(there, stride, 1, 1);
    calls_made++;
    EXPECT(!status, "status %d", status);
    for (int k = 0; k < one->outputs; k++)
        EXPECT(!memcmp(alone[k], at[one->inputs + k] + row * stride[one->inputs + k],
                       (size_t)one->columns[one->inputs + k] * sizeof(REAL)),
               "row %td has other bits than alone", row);
}

static void REAL_NAME(try_rows)(const REAL_NAME(row_case) *one)
{
    const ptrdiff_t batch = any_batch(STRIP / (ptrdiff_t)sizeof(REAL) / (MOST_COLUMNS + 16) - 1);
    const int n_jobs = any_jobs(), thorough = batch < 40 || once_in(16);
    ARRAY arrays[MOST_OPERANDS];
    REAL *at[MOST_OPERANDS];
    ptrdiff_t stride[MOST_OPERANDS];
    int wild = 0;
    now_called = one->name;
    for (int k = 0; k < one->inputs + one->outputs; k++) {
        const int out = k - one->inputs, odd = once_in(16), slot = odd ? READ_ONLY - 1 : k % (READ_ONLY - 1);
        arrays[k] = out < 0 ? REAL_NAME(input)(slot, batch, one->columns[k])
                            : REAL_NAME(output)(out, batch, one->columns[k]);
        if (out < 0) wild |= odd;
        if (out < 0 && k && once_in(8) && one->columns[k] == one->columns[k - 1]) arrays[k] = arrays[k - 1];
        if (out >= 0 && thorough) REAL_NAME(mark)(&arrays[k]);
        at[k] = arrays[k].at;
        stride[k] = arrays[k].stride;
    }
    int status;
    CALL(status, one->call(at, stride, batch, n_jobs));
    EXPECT(!status, "status %d", status);
    for (int k = one->inputs; thorough && k < one->inputs + one->outputs; k++)
        REAL_NAME(check_around)(&arrays[k]);
    for (int times = once_in(8) && !wild && batch ? 3 : 0; times > 0; times--)
        REAL_NAME(check_alone)(one, at, stride, any(batch));
    release_all();
}

/* ---- along paths ----------------------------------------------------------------------------------------------- */

/* Paths, and where the derivatives by their points go. */
typedef struct {
    ARRAY points, d_points; /* without starts */
    REAL *at, *d_at;
    ptrdiff_t stride, d_stride, batch, length;
    ptrdiff_t *lengths, *starts;
} REAL_NAME(paths);

#define PATHS REAL_NAME(paths)

/* Every path in a tooth of its own, at one of its ends; on the heap in one piece, with gaps that cannot be touched. */
static void REAL_NAME(scatter)(PATHS *paths)
{
    const ptrdiff_t row = paths->length * DIMENSION;
#ifdef LOGSIG_HEAP
    const ptrdiff_t apart = row + 16, all = paths->batch * apart + 16;
    paths->at = hold((size_t)all * sizeof(REAL));
    paths->d_at = hold((size_t)all * sizeof(REAL));
    for (ptrdiff_t i = 0; i < all; i++) paths->at[i] = REAL_NAME(number)(0);
    ASAN_POISON_MEMORY_REGION(paths->at, (size_t)all * sizeof(REAL));
    ASAN_POISON_MEMORY_REGION(paths->d_at, (size_t)all * sizeof(REAL));
#else
    const int tooth = REAL_NAME(tooth_for)(paths->batch, row);
    const ptrdiff_t apart = tooth_period(tooth) / (ptrdiff_t)sizeof(REAL);
    paths->at = (REAL *)REAL_NAME(read_only)[3].combs[tooth];
    paths->d_at = (REAL *)REAL_NAME(written)[1].combs[tooth];
#endif
    for (ptrdiff_t b = 0; b < paths->batch; b++) {
        const ptrdiff_t counted = (paths->lengths ? paths->lengths[b] : paths->length) * DIMENSION;
        const ptrdiff_t place = (paths->batch - 1 - b) * apart; /* in an order of their own */
#ifdef LOGSIG_HEAP
        paths->starts[b] = place + 16;
        ASAN_UNPOISON_MEMORY_REGION(paths->at + paths->starts[b], (size_t)counted * sizeof(REAL));
        ASAN_UNPOISON_MEMORY_REGION(paths->d_at + paths->starts[b], (size_t)counted * sizeof(REAL));
#else
        paths->starts[b] = place + (any(2) ? tooth_bytes(tooth) / (ptrdiff_t)sizeof(REAL) - counted : 0);
#endif
    }
}

static PATHS REAL_NAME(any_paths)(ptrdiff_t most_numbers)
{
    PATHS paths;
    memset(&paths, 0, sizeof paths);
    paths.length = any_length(most_numbers / DIMENSION);
    const ptrdiff_t row = paths.length * DIMENSION;
    paths.batch = any_batch(1 + most_numbers / (1 + row));
    if (once_in(3)) {
        paths.lengths = place_numbers(0, paths.batch);
        for (ptrdiff_t b = 0; b < paths.batch; b++) paths.lengths[b] = any(1 + paths.length);
    }
#ifdef LOGSIG_HEAP
    const int can_scatter = 1;
#else
    const int can_scatter = REAL_NAME(tooth_for)(paths.batch, row) >= 0;
#endif
    if (can_scatter && once_in(3)) {
        paths.starts = place_numbers(1, paths.batch);
        REAL_NAME(scatter)(&paths);
        return paths;
    }
    paths.points = REAL_NAME(input)(3, paths.batch, row);
    paths.d_points = REAL_NAME(output)(1, paths.batch, row);
    paths.at = paths.points.at;
    paths.stride = paths.points.stride;
    paths.d_at = paths.d_points.at;
    paths.d_stride = paths.d_points.stride;
    return paths;
}

static void REAL_NAME(mark_points)(const PATHS *paths)
{
    if (!paths->starts) REAL_NAME(mark)(&paths->d_points);
}

static void REAL_NAME(check_points)(const PATHS *paths)
{
    if (!paths->starts) REAL_NAME(check_around)(&paths->d_points);
}

static void REAL_NAME(try_along)(void)
{
    static const struct {
        void (*log_sig)(void), (*combine)(void), (*combine_backprop)(void);
    } all = {(void (*)(void))FN(log_sig), (void (*)(void))FN(combine), (void (*)(void))FN(combine_backprop)}, few = {0};
    const PATHS p = REAL_NAME(any_paths)(STRIP / (ptrdiff_t)sizeof(REAL) / (SIZE + 16) - 1);
    const void *const products = once_in(3) ? NULL : once_in(4) ? (const void *)&few : (const void *)&all;
    const ARRAY out = REAL_NAME(output)(0, p.batch, SIZE), d_out = REAL_NAME(input)(0, p.batch, SIZE);
    const ARRAY known = REAL_NAME(input)(1, p.batch, SIZE);
    const int n_jobs = any_jobs();
    int status;
    now_called = "log_sig";
    REAL_NAME(mark)(&out);
    CALL(status, FN(log_sig)(p.at, p.stride, p.length, p.lengths, p.starts, products, out.at, out.stride, p.batch, n_jobs));
    EXPECT(!status, "status %d", status);
    REAL_NAME(check_around)(&out);
    now_called = "log_sig_backprop";
    REAL_NAME(mark_points)(&p);
    CALL(status, FN(log_sig_backprop)(d_out.at, d_out.stride, known.at, known.stride, p.at, p.stride, p.length, p.lengths,
                                      p.starts, products, p.d_at, p.d_stride, p.batch, n_jobs));
    EXPECT(!status, "status %d", status);
    REAL_NAME(check_points)(&p);
#ifdef HAS_SIGNATURE
    now_called = "log_sig_by_signature";
    REAL_NAME(mark)(&out);
    CALL(status, FN(log_sig_by_signature)(p.at, p.stride, p.length, p.lengths, p.starts, products, out.at, out.stride,
                                          p.batch, n_jobs));
    EXPECT(!status, "status %d", status);
    REAL_NAME(check_around)(&out);
#endif
    release_all();
}

static void REAL_NAME(try_streams)(void)
{
    const PATHS p = REAL_NAME(any_paths)(STRIP / (ptrdiff_t)sizeof(REAL) / (2 * SIZE + 16));
    const ptrdiff_t block = (p.length > 0 ? p.length - 1 : 0) * SIZE;
    const ARRAY out = REAL_NAME(output)(0, p.batch, block), initial = REAL_NAME(input)(0, p.batch, SIZE);
    const ARRAY d_out = REAL_NAME(input)(1, p.batch, block), known = REAL_NAME(input)(2, p.batch, block);
    const ARRAY d_initial = REAL_NAME(output)(2, p.batch, SIZE);
    const int n_jobs = any_jobs(), after = (int)any(2);
    int status;
    now_called = "stream";
    REAL_NAME(mark)(&out);
    CALL(status, FN(stream)(p.at, p.stride, p.length, p.lengths, p.starts, after ? initial.at : NULL, initial.stride, out.at,
                            out.stride, p.batch, n_jobs));
    EXPECT(!status, "status %d", status);
    REAL_NAME(check_around)(&out);
    now_called = "stream_backprop";
    REAL_NAME(mark_points)(&p);
    REAL_NAME(mark)(&d_initial);
    CALL(status, FN(stream_backprop)(d_out.at, d_out.stride, known.at, known.stride, p.at, p.stride, p.length, p.lengths,
                                     p.starts, after ? initial.at : NULL, initial.stride, p.d_at, p.d_stride,
                                     after ? d_initial.at : NULL, d_initial.stride, p.batch, n_jobs));
    EXPECT(!status, "status %d", status);
    REAL_NAME(check_points)(&p);
    REAL_NAME(check_around)(&d_initial);
    release_all();
}

/* ---- calls with everything ------------------------------------------------------------------------------------- */

/* What follows from a call: arrays of its result and of its derivatives. */
typedef struct {
    logsig_path_call call;
    PATHS paths;
    ARRAY initial, out, d_out, result, d_initial;
    ptrdiff_t rows, width; /* blocks of the result, numbers of each */
} REAL_NAME(request);

static void REAL_NAME(add_initial)(REAL_NAME(request) *made)
{
    logsig_path_call *const call = &made->call;
    const int shared = (int)any(3); /* a row each, one row, rows chosen */
    made->rows = call->batch;
    if (!call->stream && call->batch && once_in(3)) {
        made->rows = call->rows = any_batch(32);
        ptrdiff_t *const of = place_numbers(2, call->rows);
        for (ptrdiff_t r = 0; r < call->rows; r++) of[r] = any(call->batch);
        call->path_of = of;
    }
    call->initial_rows = shared == 0 ? made->rows : shared == 1 ? 1 : 1 + any(9);
    if (shared == 2) {
        ptrdiff_t *const of = place_numbers(3, made->rows);
        for (ptrdiff_t r = 0; r < made->rows; r++) of[r] = any(call->initial_rows);
        call->initial_of = of;
    }
    made->initial = REAL_NAME(input)(0, call->initial_rows, SIZE);
    made->d_initial = REAL_NAME(output)(2, call->initial_rows, SIZE);
    call->initial = made->initial.at;
    call->initial_stride = made->initial.stride;
    call->d_initial = made->d_initial.at;
    call->d_initial_stride = made->d_initial.stride;
}

/* Intervals of all paths, or of each. */
static void REAL_NAME(add_intervals)(REAL_NAME(request) *made)
{
    logsig_path_call *const call = &made->call;
    const ptrdiff_t sets = any(2) ? call->batch : 1;
    call->intervals_per_path = any(1 + (call->length < 20 ? call->length : 20));
    call->intervals_stride = sets == call->batch ? 2 * call->intervals_per_path : 0;
    ptrdiff_t *const pairs = place_numbers(2, 2 * sets * call->intervals_per_path);
    for (ptrdiff_t k = 0; k < sets * call->intervals_per_path; k++) {
        pairs[2 * k] = any(call->length);
        pairs[2 * k + 1] = pairs[2 * k] - 1 + any(1 + call->length - pairs[2 * k]);
    }
    call->intervals = pairs;
    made->rows = call->batch * call->intervals_per_path;
}

static REAL_NAME(request) REAL_NAME(any_request)(void)
{
    REAL_NAME(request) made;
    memset(&made, 0, sizeof made);
    logsig_path_call *const call = &made.call;
    made.paths = REAL_NAME(any_paths)(STRIP / (ptrdiff_t)sizeof(REAL) / (2 * WORDS + 16));
    call->struct_size = sizeof *call;
    call->n_jobs = any_jobs();
#ifdef HAS_SIGNATURE
    call->state = (int)any(3);
#else
    call->state = (int)any(2);
#endif
    call->method = (int)any(4);
    call->path = made.paths.at;
    call->path_stride = made.paths.stride;
    call->batch = made.rows = made.paths.batch;
    call->length = made.paths.length;
    call->lengths = made.paths.lengths;
    call->starts = made.paths.starts;
    call->d_path = made.paths.d_at;
    call->d_path_stride = made.paths.d_stride;
    const int kind = (int)any(4); /* whole paths, windows, streams, intervals */
    ptrdiff_t each = 1;
    if (kind == 1) {
        call->window = 1 + any(6 + call->length / (once_in(8) ? 1 : 8));
        call->step = once_in(9) ? PTRDIFF_MAX : 1 + any(7);
        made.rows *= logsig_window_count(call->length, call->window, call->step);
    } else if (kind == 2) {
        call->stream = 1;
        each = call->length > 0 ? call->length - 1 : 0;
    }
    if (kind == 3) REAL_NAME(add_intervals)(&made);
    if (kind % 2 == 0 && any(2)) REAL_NAME(add_initial)(&made);
    made.width = each * (call->method ? SIZE : WORDS);
    made.out = REAL_NAME(output)(0, made.rows, made.width);
    made.d_out = REAL_NAME(input)(1, made.rows, made.width);
    call->out = made.out.at;
    call->out_stride = made.out.stride;
    call->d_out = made.d_out.at;
    call->d_out_stride = made.d_out.stride;
    if (any(2)) {
        made.result = REAL_NAME(input)(2, made.rows, each * SIZE);
        call->result = made.result.at;
        call->result_stride = made.result.stride;
    }
    return made;
}

/* One member is wrong: the call is refused, and nothing is written. */
static void REAL_NAME(try_wrong)(REAL_NAME(request) made)
{
    logsig_path_call *const call = &made.call;
    switch (any(9)) {
    case 0: call->struct_size += (size_t)(1 + any(9)); break;
    case 1: call->n_jobs = -(int)any(3); break;
    case 2: call->state = any(2) ? 3 : -1; break;
    case 3: call->method = any(2) ? 4 : INT32_MIN; break;
    case 4: call->batch = -1 - any(9); break;
    case 5: call->length = PTRDIFF_MIN; break;
    case 6: call->window = any(2) ? -1 : 3, call->step = 0; break;
    case 7: call->intervals_per_path = -1; break;
    default: call->stream = 1, call->window = 2, call->step = 1;
    }
    EXPECT(FN(paths)(call) == EINVAL && logsig_path_call_error(call, 0), "a wrong call is accepted");
    EXPECT(FN(paths_backprop)(call) == EINVAL && logsig_path_call_error(call, 1), "a wrong call is accepted");
    calls_made += 2;
    if (made.rows > 0) EXPECT(is_marked(made.out.at, made.out.at + made.width), "a wrong call writes");
}

/* An interval has the same numbers without its neighbours. */
static void REAL_NAME(check_interval_alone)(const REAL_NAME(request) *made, ptrdiff_t row)
{
    logsig_path_call call = made->call;
    const ptrdiff_t path = row / call.intervals_per_path;
    const ARRAY out = REAL_NAME(output)(2, 1, made->width);
    int status;
    call.intervals += path * call.intervals_stride + 2 * (row % call.intervals_per_path);
    call.intervals_per_path = call.batch = 1;
    call.path = call.starts ? call.path : (const REAL *)call.path + path * call.path_stride;
    call.starts = call.starts ? call.starts + path : NULL;
    call.lengths = call.lengths ? call.lengths + path : NULL;
    call.out = out.at;
    call.out_stride = out.stride;
    CALL(status, FN(paths)(&call));
    EXPECT(!status, "status %d", status);
    EXPECT(!memcmp(out.at, made->out.at + row * made->out.stride, (size_t)made->width * sizeof(REAL)),
           "interval %td depends on others", row);
}

static void REAL_NAME(try_calls)(void)
{
    REAL_NAME(request) made = REAL_NAME(any_request)();
    logsig_path_call *const call = &made.call;
    int status;
    now_called = "paths";
    REAL_NAME(mark)(&made.out);
    if (once_in(16)) REAL_NAME(try_wrong)(made);
    CALL(status, FN(paths)(call));
    EXPECT(!status, "status %d", status);
    REAL_NAME(check_around)(&made.out);
    if (once_in(4)) { /* elsewhere, now and then in another number of threads */
        logsig_path_call again = *call;
        const ARRAY out = REAL_NAME(output)(2, made.rows, made.width);
        if (once_in(64)) again.n_jobs = 1 + call->n_jobs % 3;
        again.out = out.at;
        again.out_stride = out.stride;
        CALL(status, FN(paths)(&again));
        EXPECT(!status, "status %d", status);
        REAL_NAME(check_equal)(&made.out, &out);
    }
    if (call->intervals && made.rows && once_in(2)) REAL_NAME(check_interval_alone)(&made, any(made.rows));
    now_called = "paths_backprop";
    REAL_NAME(mark_points)(&made.paths);
    if (call->initial) REAL_NAME(mark)(&made.d_initial);
    CALL(status, FN(paths_backprop)(call));
    EXPECT(!status, "status %d", status);
    REAL_NAME(check_points)(&made.paths);
    if (call->initial) REAL_NAME(check_around)(&made.d_initial);
    for (ptrdiff_t b = 0; call->lengths && !call->starts && b < call->batch; b++)
        for (ptrdiff_t i = call->lengths[b] * DIMENSION; i < call->length * DIMENSION; i++)
            EXPECT(made.paths.d_at[b * call->d_path_stride + i] == 0, "path %td: a point that does not count", b);
    release_all();
}

/* ---- the choice ------------------------------------------------------------------------------------------------ */

static void REAL_NAME(try_one)(void)
{
    const ptrdiff_t which = any(32);
    if (which < 29)
        REAL_NAME(try_rows)(&REAL_NAME(row_cases)[any(ROW_CASES)]);
    else if (which < 30)
        REAL_NAME(try_along)();
    else if (which < 31)
        REAL_NAME(try_streams)();
    else
        REAL_NAME(try_calls)();
}

#undef ARRAY
#undef PATHS
