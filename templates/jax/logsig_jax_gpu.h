/* Handlers that XLA calls on an NVIDIA GPU: products and calls along paths, started by the launcher in XLA's stream.
 *
 * The launcher is a library of its own, whose functions logsig_jax_use_launcher() takes; kernels that it has loaded on a
 * device come by the two functions below that. Nothing is loaded or compiled in a call, and nothing waits for the device;
 * memory comes from XLA's allocator. Leading axes of operands are those of the result; 1 where one row serves all.
 */
#ifndef LOGSIG_JAX_GPU_H
#define LOGSIG_JAX_GPU_H

#include <errno.h>
#include <stdlib.h>

#include "logsig_gpu_paths.h"
#include "logsig_jax_frame.h"

/* ---- kernels --------------------------------------------------------------------------------------------------- */

/* The kernels of a problem on one device, of float32 and of float64; null where none was handed over. */
typedef struct logsig_on_gpu {
    int64_t dimension, degree, size;
    int ordinal;
    const logsig_kernel *kernels[LOGSIG_FUNCTIONS][2];
    const logsig_gpu_problem *problems[2]; /* for calls along paths */
    struct logsig_on_gpu *next;
} logsig_on_gpu;

typedef struct {
    int (*launch)(const logsig_kernel *, int64_t, const int64_t *, int, void *);
    int (*paths)(const logsig_gpu_problem *, const logsig_path_call *, int, logsig_gpu_run *);
    const char *(*error)(void);
} logsig_launcher;

static logsig_launcher logsig_launching; /* set before the first kernel is handed over */
static logsig_on_gpu *logsig_first_on_gpu;

static logsig_on_gpu *logsig_find_on_gpu(int64_t dimension, int64_t degree, int ordinal)
{
    logsig_on_gpu *one = __atomic_load_n(&logsig_first_on_gpu, __ATOMIC_ACQUIRE);
    while (one && (one->dimension != dimension || one->degree != degree || one->ordinal != ordinal)) one = one->next;
    return one;
}

static logsig_on_gpu *logsig_add_on_gpu(int64_t dimension, int64_t degree, int64_t size, int ordinal)
{
    logsig_on_gpu *one = logsig_find_on_gpu(dimension, degree, ordinal);
    if (one || !(one = calloc(1, sizeof *one))) return one;
    one->dimension = dimension;
    one->degree = degree;
    one->size = size;
    one->ordinal = ordinal;
    one->next = logsig_first_on_gpu;
    __atomic_store_n(&logsig_first_on_gpu, one, __ATOMIC_RELEASE);
    return one;
}

/* The functions logsig_gpu_launch, logsig_gpu_paths and logsig_gpu_error of the launcher that loads the kernels. */
void logsig_jax_use_launcher(void *launch, void *paths, void *error)
{
    memcpy(&logsig_launching.launch, &launch, sizeof launch);
    memcpy(&logsig_launching.paths, &paths, sizeof paths);
    memcpy(&logsig_launching.error, &error, sizeof error);
}

/* Makes `kernel` what computes an operation on rows on a device. One thread at a time calls this function and the next;
 * others may be running kernels. Returns 0, EINVAL or ENOMEM. */
int logsig_jax_provide_kernel(int64_t dimension, int64_t degree, int64_t size, int ordinal, int operation, int bits,
                              const logsig_kernel *kernel)
{
    if (operation < 0 || operation >= LOGSIG_FUNCTIONS || (bits != 32 && bits != 64)) return EINVAL;
    logsig_on_gpu *const one = logsig_add_on_gpu(dimension, degree, size, ordinal);
    if (!one) return ENOMEM;
    __atomic_store_n(&one->kernels[operation][bits == 64], kernel, __ATOMIC_RELEASE);
    return 0;
}

/* Makes a copy of `given` what calls along paths use on a device; it is kept, since calls may be reading it. */
int logsig_jax_provide_problem(int ordinal, const logsig_gpu_problem *given)
{
    logsig_on_gpu *const one = logsig_add_on_gpu(given->dimension, given->degree, given->size, ordinal);
    if (!one) return ENOMEM;
    const logsig_gpu_problem **const place = &one->problems[given->real_bytes == 8];
    if (*place && !memcmp(*place, given, sizeof *given)) return 0;
    logsig_gpu_problem *const copy = malloc(sizeof *copy);
    if (!copy) return ENOMEM;
    memcpy(copy, given, sizeof *copy);
    __atomic_store_n(place, copy, __ATOMIC_RELEASE);
    return 0;
}

/* ---- call frames ----------------------------------------------------------------------------------------------- */

/* Where a call runs. */
typedef struct {
    void *stream;
    const logsig_on_gpu *kernels; /* of its problem, null where there are none */
} logsig_place;

static XLA_FFI_Error *logsig_find_place(const XLA_FFI_CallFrame *frame, logsig_place *place)
{
    XLA_FFI_Stream_Get_Args stream = {XLA_FFI_Stream_Get_Args_STRUCT_SIZE, NULL, frame->ctx, NULL};
    XLA_FFI_DeviceOrdinal_Get_Args device = {XLA_FFI_DeviceOrdinal_Get_Args_STRUCT_SIZE, NULL, frame->ctx, 0};
    XLA_FFI_Error *error = frame->api->XLA_FFI_Stream_Get(&stream);
    if (!error) error = frame->api->XLA_FFI_DeviceOrdinal_Get(&device);
    if (error) return error;
    place->stream = stream.stream;
    place->kernels = logsig_find_on_gpu(logsig_integer(frame, "dimension"), logsig_integer(frame, "degree"),
                                        device.device_ordinal);
    return NULL;
}

static XLA_FFI_Error *logsig_not_on_gpu(const XLA_FFI_CallFrame *frame, const char *operation)
{
    char text[256];
    snprintf(text, sizeof text,
             "No kernel is loaded on this GPU for this program: call logsig_codegen.jax_api.prepare_on_gpu(%lld, %lld, "
             "\"%s\") before it runs",
             (long long)logsig_integer(frame, "dimension"), (long long)logsig_integer(frame, "degree"), operation);
    return logsig_error(frame, XLA_FFI_Error_Code_FAILED_PRECONDITION, text);
}

static XLA_FFI_Error *logsig_launched(const XLA_FFI_CallFrame *frame, int status)
{
    return status ? logsig_error(frame, XLA_FFI_Error_Code_INTERNAL, logsig_launching.error()) : NULL;
}

static XLA_FFI_Error *logsig_wrong_shapes(const XLA_FFI_CallFrame *frame)
{
    return logsig_invalid(frame, "Wrong shapes or types of operands.");
}

/* The leading axes of a call and its type. */
typedef struct {
    const int64_t *lead;
    int64_t rank;
    XLA_FFI_DataType dtype;
} logsig_batch;

/* Whether a buffer holds a block with the axes `tail` for each member of a batch, or, if it may be `shared`, one for all;
 * and the distance of blocks, counted in numbers. */
static int logsig_fits(const logsig_batch *batch, const XLA_FFI_Buffer *buffer, const int64_t *tail, int64_t tail_rank,
                       int shared, ptrdiff_t *distance)
{
    const int64_t rank = batch->rank;
    if (buffer->dtype != batch->dtype || buffer->rank != rank + tail_rank) return 0;
    if (memcmp(buffer->dims + rank, tail, (size_t)tail_rank * sizeof *tail)) return 0;
    const int each = !memcmp(buffer->dims, batch->lead, (size_t)rank * sizeof *tail);
    *distance = each ? logsig_count(tail, tail_rank) : 0;
    return each || (shared && logsig_count(buffer->dims, rank) == 1);
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* An operation on rows: one launch, which command buffers can capture. Bit k of `letters`: rows of operand k have a number
 * for each letter, not for each coordinate. */
static XLA_FFI_Error *logsig_run_rows_on_gpu(XLA_FFI_CallFrame *frame, int operation, const char *name, int inputs,
                                             int outputs, unsigned letters)
{
    if (logsig_asked_for(frame, XLA_FFI_HANDLER_TRAITS_COMMAND_BUFFER_COMPATIBLE)) return NULL;
    if (frame->args.size != inputs || frame->rets.size != outputs) return logsig_invalid(frame, "Wrong number of operands.");
    const XLA_FFI_Buffer *const first = logsig_result(frame, 0);
    const logsig_batch batch = {first->dims, first->rank - 1, first->dtype};
    const int bits = logsig_bits(first);
    if (batch.rank < 0 || !bits) return logsig_wrong_shapes(frame);
    logsig_place place;
    XLA_FFI_Error *const nowhere = logsig_find_place(frame, &place);
    if (nowhere) return nowhere;
    const logsig_kernel *const kernel =
        place.kernels ? __atomic_load_n(&place.kernels->kernels[operation][bits == 64], __ATOMIC_ACQUIRE) : NULL;
    if (!kernel) return logsig_not_on_gpu(frame, name);
    int64_t arguments[2 * LOGSIG_MOST_OPERANDS];
    for (int k = 0; k < inputs + outputs; k++) {
        const XLA_FFI_Buffer *const buffer = k < inputs ? logsig_argument(frame, k) : logsig_result(frame, k - inputs);
        const int64_t columns = letters >> k & 1 ? place.kernels->dimension : place.kernels->size;
        ptrdiff_t distance;
        if (!logsig_fits(&batch, buffer, &columns, 1, k < inputs, &distance)) return logsig_wrong_shapes(frame);
        arguments[2 * k] = logsig_address(buffer->data);
        arguments[2 * k + 1] = distance;
    }
    return logsig_launched(frame, logsig_launching.launch(kernel, logsig_count(batch.lead, batch.rank), arguments,
                                                          2 * (inputs + outputs), place.stream));
}

/* ---- calls along paths ----------------------------------------------------------------------------------------- */

/* Whether an operand is missing or fits, and where it is. */
static int logsig_takes(const logsig_batch *batch, const XLA_FFI_Buffer *buffer, const int64_t *tail, int64_t tail_rank,
                        int shared, const void **data, ptrdiff_t *distance)
{
    if (!buffer) return 1;
    *data = buffer->data;
    return logsig_fits(batch, buffer, tail, tail_rank, shared, distance);
}

/* The call that operands and attributes are; 0 where they do not fit together. Numbers of points are 64 bits wide, as two
 * of 32, the lower half first. */
static int logsig_fill_on_gpu(const XLA_FFI_CallFrame *frame, const logsig_path_operands *operands, int backward,
                              int64_t size, logsig_path_call *call)
{
    const XLA_FFI_Buffer *const first = logsig_result(frame, 0), *const lengths = operands->lengths;
    const int64_t *const points = operands->path->dims + operands->rank, pair = 2;
    const logsig_batch batch = {first->dims, operands->rank, first->dtype};
    const logsig_batch numbers = {first->dims, operands->rank, XLA_FFI_DataType_S32};
    const void *data = NULL;
    ptrdiff_t apart;
    call->struct_size = sizeof *call;
    call->state = (int)logsig_integer(frame, "state");
    call->stream = logsig_integer(frame, "stream") != 0;
    call->method = 2;
    call->window = logsig_integer(frame, "window");
    call->step = logsig_integer(frame, "step");
    call->length = points[0];
    if (first->rank < batch.rank || points[1] != logsig_integer(frame, "dimension")) return 0;
    if (call->window < 0 || (call->window && (call->step < 1 || call->stream))) return 0;
    if (operands->initial && !call->stream) return 0;
    call->batch = logsig_count(batch.lead, batch.rank);
    const int64_t steps = points[0] > 0 ? points[0] - 1 : 0;
    const int64_t rows[] = {call->window ? logsig_window_count(points[0], call->window, call->step) : steps, size};
    const int single = !call->window && !call->stream;
    const int64_t *const tail = rows + single, tail_rank = 2 - single;
    if (!logsig_takes(&batch, operands->path, points, 2, !backward, &call->path, &call->path_stride) ||
        !logsig_takes(&batch, operands->initial, &size, 1, 1, &call->initial, &call->initial_stride) ||
        !logsig_takes(&numbers, lengths, &pair, 1, 0, &data, &apart) ||
        !logsig_takes(&batch, operands->d_out, tail, tail_rank, 0, &call->d_out, &call->d_out_stride) ||
        !logsig_takes(&batch, operands->result, tail, tail_rank, 0, &call->result, &call->result_stride) ||
        !logsig_fits(&batch, first, backward ? points : tail, backward ? 2 : tail_rank, 0, &apart))
        return 0;
    call->lengths = data;
    call->initial_rows = call->batch;
    if (call->window) call->d_out_stride = call->result_stride = size; /* windows are rows of their own */
    if (!backward) {
        call->out = first->data;
        call->out_stride = call->window ? size : apart;
        return 1;
    }
    call->d_path = first->data;
    call->d_path_stride = apart;
    if (!operands->initial) return 1;
    call->d_initial = logsig_result(frame, 1)->data;
    return logsig_fits(&batch, logsig_result(frame, 1), &size, 1, 0, &call->d_initial_stride);
}

/* Carry a call out, or measure what it needs. Streams without a kernel are joins, windows that overlap are walked through. */
static int logsig_carry_out(logsig_gpu_problem *problem, const logsig_path_call *call, int backward, logsig_gpu_run *run)
{
    int status;
    while ((status = logsig_launching.paths(problem, call, backward, run)) == LOGSIG_WANTS_KERNEL) {
        if (run->wanted != LOGSIG_AT_STREAM && run->wanted != LOGSIG_AT_STREAM_BACKPROP &&
            run->wanted != LOGSIG_AT_WINDOWS && run->wanted != LOGSIG_AT_WINDOWS_BACKPROP)
            break;
        problem->known[run->wanted] = 1;
    }
    return status;
}

static XLA_FFI_Error *logsig_run_paths_on_gpu(XLA_FFI_CallFrame *frame, int backward)
{
    if (logsig_asked(frame)) return NULL; /* memory is allocated in a call: command buffers cannot capture it */
    logsig_path_operands operands;
    logsig_place place;
    XLA_FFI_Error *error = logsig_read_operands(frame, backward, &operands);
    if (!error) error = logsig_find_place(frame, &place);
    if (error) return error;
    const XLA_FFI_Buffer *const first = logsig_result(frame, 0);
    const int bits = logsig_bits(first);
    const logsig_gpu_problem *const found =
        place.kernels && bits ? __atomic_load_n(&place.kernels->problems[bits == 64], __ATOMIC_ACQUIRE) : NULL;
    if (!found) return bits ? logsig_not_on_gpu(frame, "arrange") : logsig_wrong_shapes(frame);
    logsig_path_call call = {0};
    if (!logsig_fill_on_gpu(frame, &operands, backward, found->size, &call)) return logsig_wrong_shapes(frame);
    logsig_gpu_problem problem = *found;
    logsig_gpu_run run = {0};
    run.extent = logsig_count(operands.path->dims, operands.path->rank);
    run.stream = place.stream;
    if (backward ? !run.extent && !call.d_initial : !logsig_count(first->dims, first->rank)) return NULL;
    int status = logsig_carry_out(&problem, &call, backward, &run);
    if (status == LOGSIG_WANTS_KERNEL) return logsig_not_on_gpu(frame, logsig_gpu_operation(run.wanted));
    if (status) return logsig_launched(frame, status);
    XLA_FFI_DeviceMemory_Allocate_Args memory = {XLA_FFI_DeviceMemory_Allocate_Args_STRUCT_SIZE, NULL, frame->ctx, run.bytes,
                                                 256, NULL};
    error = frame->api->XLA_FFI_DeviceMemory_Allocate(&memory);
    if (error) return error;
    run.workspace = memory.data;
    status = logsig_carry_out(&problem, &call, backward, &run);
    XLA_FFI_DeviceMemory_Free_Args given_back = {XLA_FFI_DeviceMemory_Free_Args_STRUCT_SIZE, NULL, frame->ctx, run.bytes,
                                                 memory.data};
    error = frame->api->XLA_FFI_DeviceMemory_Free(&given_back); /* whoever gets it next uses it after these kernels */
    return status ? logsig_launched(frame, status) : error;
}

#endif
