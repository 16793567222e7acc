/* Handlers that XLA calls on a CPU: operations on rows, calls along paths, and linear maps of rows.
 *
 * They are compiled against the headers of the installed jaxlib, and belong to no problem: dimension and degree are attributes
 * of a call, and kernels are found in a list that logsig_jax_provide() fills. The list only grows and is read without locks.
 * Arrays are dense, the last axis varying fastest. Operands of a call have leading axes of one rank; an operand has 1 where
 * the result has more, and is then read with a step of zero, or copied where its rows have no single step.
 */
#ifndef LOGSIG_JAX_H
#define LOGSIG_JAX_H

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "logsig_jax_frame.h"

typedef void (*logsig_function)(void);

/* ---- kernels --------------------------------------------------------------------------------------------------- */

typedef struct logsig_kernels {
    int64_t dimension, degree;
    logsig_function functions[LOGSIG_FUNCTIONS][2]; /* of float32, of float64; null where nothing is loaded */
    struct logsig_kernels *next;
} logsig_kernels;

static logsig_kernels *logsig_first;
static int logsig_usable = 1; /* processors that a call may use */

static logsig_kernels *logsig_find(int64_t dimension, int64_t degree)
{
    logsig_kernels *one = __atomic_load_n(&logsig_first, __ATOMIC_ACQUIRE);
    while (one && (one->dimension != dimension || one->degree != degree)) one = one->next;
    return one;
}

/* Makes `function` what computes an operation from now on; without `replace` only where there is none. One thread at a time
 * calls it; others may be running kernels. Returns 0, EINVAL or ENOMEM. */
int logsig_jax_provide(int64_t dimension, int64_t degree, int operation, int bits, logsig_function function, int replace)
{
    if (operation < 0 || operation >= LOGSIG_FUNCTIONS || (bits != 32 && bits != 64)) return EINVAL;
    logsig_kernels *one = logsig_find(dimension, degree);
    if (!one) {
        one = calloc(1, sizeof *one);
        if (!one) return ENOMEM;
        one->dimension = dimension;
        one->degree = degree;
        one->next = logsig_first;
        __atomic_store_n(&logsig_first, one, __ATOMIC_RELEASE);
    }
    logsig_function *const place = &one->functions[operation][bits == 64];
    if (replace || !*place) __atomic_store_n(place, function, __ATOMIC_RELEASE);
    return 0;
}

/* Processors that calls may use; 1 in a process made by fork. */
void logsig_jax_use_processors(int usable)
{
    __atomic_store_n(&logsig_usable, usable, __ATOMIC_RELAXED);
}

/* 1 serial, -1 all processors, -2 all but one, as everywhere in the package. */
static int logsig_threads(int64_t n_jobs)
{
    const int usable = __atomic_load_n(&logsig_usable, __ATOMIC_RELAXED);
    const int64_t threads = n_jobs > 0 ? n_jobs : usable + 1 + n_jobs;
    return threads < 1 ? 1 : threads > usable ? usable : (int)threads;
}

static const logsig_kernels *logsig_kernels_of(const XLA_FFI_CallFrame *frame)
{
    return logsig_find(logsig_integer(frame, "dimension"), logsig_integer(frame, "degree"));
}

static logsig_function logsig_kernel_of(const logsig_kernels *one, int operation, int bits)
{
    return one && bits ? __atomic_load_n(&one->functions[operation][bits == 64], __ATOMIC_ACQUIRE) : NULL;
}

static XLA_FFI_Error *logsig_not_loaded(const XLA_FFI_CallFrame *frame, const char *group)
{
    char text[256];
    snprintf(text, sizeof text,
             "No kernel is loaded for this program: call logsig_codegen.load(%lld, %lld).prepare(\"%s\") before it runs",
             (long long)logsig_integer(frame, "dimension"), (long long)logsig_integer(frame, "degree"), group);
    return logsig_error(frame, XLA_FFI_Error_Code_FAILED_PRECONDITION, text);
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* Blocks of numbers of an operand, one for each member of a batch: data + k * stride for the k-th. */
typedef struct {
    const char *data;
    ptrdiff_t stride; /* counted in numbers */
    void *copy;       /* to be freed */
} logsig_blocks;

/* The member of an operand with the leading axes `dims` that member `index` of a batch with the axes `full` belongs to. */
static int64_t logsig_member(const int64_t *dims, const int64_t *full, int64_t rank, int64_t index)
{
    int64_t found = 0, step = 1;
    for (int64_t k = rank - 1; k >= 0; k--) {
        if (dims[k] != 1) found += index % full[k] * step;
        step *= dims[k];
        index /= full[k];
    }
    return found;
}

/* An operand broadcast to the batch `full` of `rank` axes, by a single step where there is one; `dense`: by none but the
 * size of a block. Returns 0 or ENOMEM. */
static int logsig_broadcast(const XLA_FFI_Buffer *buffer, const int64_t *full, int64_t rank, int dense, logsig_blocks *blocks)
{
    const int64_t block = logsig_count(buffer->dims + rank, buffer->rank - rank);
    const int64_t members = logsig_count(buffer->dims, rank), count = logsig_count(full, rank);
    const size_t bytes = (size_t)block * (logsig_bits(buffer) / 8);
    blocks->data = buffer->data;
    blocks->stride = members == 1 && !dense ? 0 : block;
    blocks->copy = NULL;
    if (members == count || (members == 1 && !dense)) return 0;
    char *const copy = blocks->copy = malloc((size_t)count * bytes + 1);
    if (!copy) return ENOMEM;
    for (int64_t k = 0; k < count; k++)
        memcpy(copy + k * bytes, blocks->data + logsig_member(buffer->dims, full, rank, k) * bytes, bytes);
    blocks->data = copy;
    return 0;
}

typedef int logsig_rows_call(logsig_function function, const logsig_blocks *operands, ptrdiff_t batch, int n_jobs);

/* An operation on rows; results have the leading axes that all operands broadcast to. */
static XLA_FFI_Error *logsig_run_rows(XLA_FFI_CallFrame *frame, int operation, const char *group, int inputs, int outputs,
                                      logsig_rows_call *call)
{
    if (logsig_asked(frame)) return NULL;
    if (frame->args.size != inputs || frame->rets.size != outputs) return logsig_invalid(frame, "Wrong number of operands.");
    const XLA_FFI_Buffer *const result = logsig_result(frame, 0);
    const int64_t rank = result->rank - 1, batch = logsig_count(result->dims, rank);
    if (!batch) return NULL;
    const logsig_function function = logsig_kernel_of(logsig_kernels_of(frame), operation, logsig_bits(result));
    if (!function) return logsig_not_loaded(frame, group);
    logsig_blocks operands[LOGSIG_MOST_OPERANDS] = {{NULL, 0, NULL}};
    int error = 0;
    for (int k = 0; k < inputs && !error; k++)
        error = logsig_broadcast(logsig_argument(frame, k), result->dims, rank, 0, &operands[k]);
    for (int k = 0; k < outputs; k++) {
        const XLA_FFI_Buffer *const out = logsig_result(frame, k);
        operands[inputs + k].data = out->data;
        operands[inputs + k].stride = out->dims[rank];
    }
    if (!error) error = call(function, operands, batch, logsig_threads(logsig_integer(frame, "n_jobs")));
    for (int k = 0; k < inputs; k++) free(operands[k].copy);
    return error ? logsig_no_memory(frame) : NULL;
}

/* ---- calls along paths ----------------------------------------------------------------------------------------- */

static void *logsig_own(logsig_path_operands *operands, void *memory)
{
    operands->owned[operands->count++] = memory;
    return memory;
}

static void logsig_widen(int64_t *dims, const XLA_FFI_Buffer *buffer, int64_t rank)
{
    for (int64_t k = 0; buffer && k < rank; k++)
        if (buffer->dims[k] != 1) dims[k] = buffer->dims[k];
}

/* For each member of a batch the member of an operand that it belongs to; null, without an error, where they are the same. */
static int logsig_shared(logsig_path_operands *operands, const int64_t *dims, const int64_t *full, const ptrdiff_t **numbers)
{
    const int64_t count = logsig_count(full, operands->rank);
    *numbers = NULL;
    if (logsig_count(dims, operands->rank) == count) return 0;
    ptrdiff_t *const found = logsig_own(operands, malloc((size_t)(count + 1) * sizeof(ptrdiff_t)));
    if (!found) return ENOMEM;
    for (int64_t k = 0; k < count; k++) found[k] = logsig_member(dims, full, operands->rank, k);
    *numbers = found;
    return 0;
}

/* Integers, which XLA has as int32 or int64, so many for each member of the batch `dims`. */
static int logsig_integers_of(logsig_path_operands *operands, const XLA_FFI_Buffer *given, const int64_t *dims, int64_t each,
                              const ptrdiff_t **integers)
{
    const int64_t count = logsig_count(dims, operands->rank);
    ptrdiff_t *const found = logsig_own(operands, malloc((size_t)(count * each + 1) * sizeof(ptrdiff_t)));
    if (!found) return ENOMEM;
    for (int64_t k = 0; k < count; k++) {
        const int64_t first = logsig_member(given->dims, dims, operands->rank, k) * each;
        for (int64_t j = 0; j < each; j++)
            found[k * each + j] = given->dtype == XLA_FFI_DataType_S64 ? (ptrdiff_t)((const int64_t *)given->data)[first + j]
                                                                       : ((const int32_t *)given->data)[first + j];
    }
    *integers = found;
    return 0;
}

/* Pairs of points: one set for all paths, or one for each. */
static int logsig_intervals_of(logsig_path_operands *operands, logsig_path_call *call)
{
    const XLA_FFI_Buffer *const given = operands->intervals;
    const int shared = logsig_count(given->dims, operands->rank) == 1;
    call->intervals_per_path = given->dims[operands->rank];
    call->intervals_stride = shared ? 0 : 2 * call->intervals_per_path;
    return logsig_integers_of(operands, given, shared ? given->dims : operands->paths, 2 * call->intervals_per_path,
                              &call->intervals);
}

static int logsig_blocks_of(logsig_path_operands *operands, const XLA_FFI_Buffer *buffer, const int64_t *full, int dense,
                            const void **data, ptrdiff_t *stride)
{
    logsig_blocks blocks;
    const int error = logsig_broadcast(buffer, full, operands->rank, dense, &blocks);
    logsig_own(operands, blocks.copy);
    *data = blocks.data;
    *stride = blocks.stride;
    return error;
}

/* Derivatives by the result, or the result: windows and intervals, `parts`, are rows of their own, the rows of a stream belong
 * to their path. */
static int logsig_result_rows(logsig_path_operands *operands, const XLA_FFI_Buffer *buffer, int parts, const void **data,
                              ptrdiff_t *stride)
{
    const int error = logsig_blocks_of(operands, buffer, operands->rows, parts, data, stride);
    if (parts) *stride = buffer->dims[buffer->rank - 1];
    return error;
}

static int logsig_fill_call(XLA_FFI_CallFrame *frame, logsig_path_operands *operands, int backward, logsig_path_call *call)
{
    const int64_t rank = operands->rank;
    const int parts = operands->intervals || logsig_integer(frame, "window");
    const XLA_FFI_Buffer *const out = logsig_result(frame, 0);
    call->struct_size = sizeof *call;
    call->n_jobs = logsig_threads(logsig_integer(frame, "n_jobs"));
    call->stream = logsig_integer(frame, "stream") != 0;
    call->method = 2;
    call->window = logsig_integer(frame, "window");
    call->step = logsig_integer(frame, "step");
    call->batch = logsig_count(operands->paths, rank);
    call->length = operands->path->dims[rank];
    int error = logsig_blocks_of(operands, operands->path, operands->paths, 0, &call->path, &call->path_stride);
    if (!error && operands->lengths)
        error = logsig_integers_of(operands, operands->lengths, operands->paths, 1, &call->lengths);
    if (!error && operands->intervals) error = logsig_intervals_of(operands, call);
    if (!error && operands->initial) {
        const int64_t *const before = backward ? logsig_result(frame, 1)->dims : operands->initial->dims;
        call->initial_rows = logsig_count(before, rank);
        call->rows = logsig_count(operands->rows, rank);
        error = logsig_blocks_of(operands, operands->initial, before, 0, &call->initial, &call->initial_stride);
        if (!error && call->initial_rows != 1) error = logsig_shared(operands, before, operands->rows, &call->initial_of);
        if (!error) error = logsig_shared(operands, operands->paths, operands->rows, &call->path_of);
    }
    if (error || !backward) {
        call->out = out->data;
        call->out_stride = parts ? out->dims[out->rank - 1] : logsig_count(out->dims + rank, out->rank - rank);
        return error;
    }
    error = logsig_result_rows(operands, operands->d_out, parts, &call->d_out, &call->d_out_stride);
    if (!error && operands->result && (!call->initial || call->stream))
        error = logsig_result_rows(operands, operands->result, parts, &call->result, &call->result_stride);
    call->d_path = out->data;
    call->d_path_stride = out->dims[rank] * out->dims[rank + 1];
    if (call->initial) {
        call->d_initial = logsig_result(frame, 1)->data;
        call->d_initial_stride = logsig_result(frame, 1)->dims[rank];
    }
    return error;
}

/* Copies paths, with lengths or without, all of whose values at points that count are numbers. */
static XLA_FFI_Error *logsig_run_observed(XLA_FFI_CallFrame *frame)
{
    if (logsig_asked(frame)) return NULL;
    if (frame->args.size < 1 || frame->args.size > 2 || frame->rets.size != 1)
        return logsig_invalid(frame, "Wrong number of operands.");
    const XLA_FFI_Buffer *const path = logsig_argument(frame, 0), *const out = logsig_result(frame, 0);
    const int64_t rank = path->rank - 2, count = logsig_count(out->dims, rank);
    const int64_t length = path->dims[rank], width = path->dims[rank + 1];
    const int bits = logsig_bits(path);
    const size_t bytes = (size_t)(length * width) * (bits / 8);
    logsig_path_operands operands = {.rank = rank};
    const ptrdiff_t *lengths = NULL;
    if (frame->args.size > 1 && logsig_integers_of(&operands, logsig_argument(frame, 1), out->dims, 1, &lengths))
        return logsig_no_memory(frame);
    int missing = 0;
    for (int64_t k = 0; k < count && !missing; k++) {
        const char *const points = (const char *)path->data + logsig_member(path->dims, out->dims, rank, k) * bytes;
        const int64_t numbers = width * (lengths && lengths[k] < length ? lengths[k] : length);
        for (int64_t j = 0; j < numbers; j++)
            missing |= bits == 64 ? isnan(((const double *)points)[j]) : isnan(((const float *)points)[j]);
        memcpy((char *)out->data + k * bytes, points, bytes);
    }
    for (int k = 0; k < operands.count; k++) free(operands.owned[k]);
    return missing ? logsig_invalid(frame, "path: expected numbers with missing='raise', got nan") : NULL;
}

static void logsig_clear(const XLA_FFI_Buffer *buffer)
{
    memset(buffer->data, 0, (size_t)logsig_count(buffer->dims, buffer->rank) * (logsig_bits(buffer) / 8));
}

static XLA_FFI_Error *logsig_run_paths(XLA_FFI_CallFrame *frame, int backward)
{
    if (logsig_asked(frame)) return NULL;
    logsig_path_operands operands;
    XLA_FFI_Error *const misread = logsig_read_operands(frame, backward, &operands);
    if (misread) return misread;
    const int64_t state = logsig_integer(frame, "state");
    const XLA_FFI_Buffer *const first = logsig_result(frame, 0);
    for (int64_t k = 0; k < operands.rank; k++) operands.rows[k] = operands.paths[k] = 1;
    if (backward)
        logsig_widen(operands.paths, first, operands.rank);
    else {
        logsig_widen(operands.paths, operands.path, operands.rank);
        logsig_widen(operands.paths, operands.lengths, operands.rank);
        logsig_widen(operands.paths, operands.intervals, operands.rank);
        if (logsig_integer(frame, "stream")) logsig_widen(operands.paths, first, operands.rank);
    }
    memcpy(operands.rows, operands.paths, sizeof operands.rows);
    logsig_widen(operands.rows, operands.initial, operands.rank);
    if (backward && operands.initial) logsig_widen(operands.rows, logsig_result(frame, 1), operands.rank);
    if (backward) logsig_widen(operands.rows, operands.d_out, operands.rank);
    const XLA_FFI_Buffer *const out = backward ? operands.d_out : first;
    if (!logsig_count(operands.rows, operands.rank) || !logsig_count(out->dims + operands.rank, out->rank - operands.rank)) {
        for (int64_t k = 0; backward && k < frame->rets.size; k++) logsig_clear(logsig_result(frame, k));
        return NULL;
    }
    const int bits = logsig_bits(first);
    const logsig_kernels *const kernels = logsig_kernels_of(frame);
    logsig_function members[sizeof LOGSIG_MEMBERS[0] / sizeof LOGSIG_MEMBERS[0][0]];
    logsig_path_functions functions;
    _Static_assert(sizeof members == sizeof functions, "a place for each member");
    for (size_t k = 0; k < sizeof members / sizeof members[0]; k++)
        members[k] = logsig_kernel_of(kernels, LOGSIG_MEMBERS[state][k], bits);
    memcpy(&functions, members, sizeof functions);
    const logsig_function run = logsig_kernel_of(kernels, backward ? LOGSIG_OF_PATHS_BACKPROP : LOGSIG_OF_PATHS, bits);
    const char *const group = LOGSIG_GROUPS[state][logsig_integer(frame, "stream") != 0][backward];
    if (!run) return logsig_not_loaded(frame, group);
    logsig_path_call call = {0};
    call.functions = &functions;
    int error = logsig_fill_call(frame, &operands, backward, &call);
    if (!error) error = ((int (*)(const logsig_path_call *))run)(&call);
    const char *const wrong = error == EINVAL ? logsig_path_call_error(&call, backward) : NULL;
    for (int k = 0; k < operands.count; k++) free(operands.owned[k]);
    if (wrong) return logsig_invalid(frame, wrong);
    if (error == ENOSYS) return logsig_not_loaded(frame, call.initial && functions.log_sig ? "combine" : group);
    return error ? logsig_no_memory(frame) : NULL;
}

#endif
