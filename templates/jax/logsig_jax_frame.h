/* What handlers on every device read: call frames of XLA, their attributes and buffers, and the operands of calls along paths. */
#ifndef LOGSIG_JAX_FRAME_H
#define LOGSIG_JAX_FRAME_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "logsig_path_call.h"
#include "xla/ffi/api/c_api.h"

enum { LOGSIG_MOST_OPERANDS = 8 };

/* ---- call frames ----------------------------------------------------------------------------------------------- */

static XLA_FFI_Error *logsig_error(const XLA_FFI_CallFrame *frame, XLA_FFI_Error_Code code, const char *message)
{
    XLA_FFI_Error_Create_Args args = {XLA_FFI_Error_Create_Args_STRUCT_SIZE, NULL, message, code};
    return frame->api->XLA_FFI_Error_Create(&args);
}

static XLA_FFI_Error *logsig_invalid(const XLA_FFI_CallFrame *frame, const char *message)
{
    return logsig_error(frame, XLA_FFI_Error_Code_INVALID_ARGUMENT, message);
}

static XLA_FFI_Error *logsig_no_memory(const XLA_FFI_CallFrame *frame)
{
    return logsig_error(frame, XLA_FFI_Error_Code_RESOURCE_EXHAUSTED, "There is no room for working memory.");
}

/* Whether a call only asks which version of the interface this was compiled for, and for its traits; answers it. */
static int logsig_asked_for(XLA_FFI_CallFrame *frame, XLA_FFI_Handler_Traits traits)
{
    XLA_FFI_Extension_Base *const first = frame->extension_start;
    if (!first || first->type != XLA_FFI_Extension_Metadata) return 0;
    XLA_FFI_Metadata *const metadata = ((XLA_FFI_Metadata_Extension *)first)->metadata;
    metadata->api_version.major_version = XLA_FFI_API_MAJOR;
    metadata->api_version.minor_version = XLA_FFI_API_MINOR;
    metadata->traits = traits;
    return 1;
}

static int logsig_asked(XLA_FFI_CallFrame *frame)
{
    return logsig_asked_for(frame, 0);
}

static const XLA_FFI_Buffer *logsig_argument(const XLA_FFI_CallFrame *frame, int64_t place)
{
    return frame->args.args[place];
}

static const XLA_FFI_Buffer *logsig_result(const XLA_FFI_CallFrame *frame, int64_t place)
{
    return frame->rets.rets[place];
}

static void *logsig_attribute(const XLA_FFI_CallFrame *frame, const char *name, XLA_FFI_AttrType type)
{
    const size_t length = strlen(name);
    for (int64_t k = 0; k < frame->attrs.size; k++) {
        const XLA_FFI_ByteSpan *const found = frame->attrs.names[k];
        if (found->len == length && !memcmp(found->ptr, name, length))
            return frame->attrs.types[k] == type ? frame->attrs.attrs[k] : NULL;
    }
    return NULL;
}

/* An integer attribute; a missing one is 0. */
static int64_t logsig_integer(const XLA_FFI_CallFrame *frame, const char *name)
{
    const XLA_FFI_Scalar *const found = logsig_attribute(frame, name, XLA_FFI_AttrType_SCALAR);
    return found && found->dtype == XLA_FFI_DataType_S64 ? *(const int64_t *)found->value : 0;
}

/* 32, 64, or 0 for numbers that there are no kernels for. */
static int logsig_bits(const XLA_FFI_Buffer *buffer)
{
    return buffer->dtype == XLA_FFI_DataType_F64 ? 64 : buffer->dtype == XLA_FFI_DataType_F32 ? 32 : 0;
}

static int64_t logsig_count(const int64_t *dims, int64_t rank)
{
    int64_t count = 1;
    for (int64_t k = 0; k < rank; k++) count *= dims[k];
    return count;
}

/* ---- calls along paths ----------------------------------------------------------------------------------------- */

enum { LOGSIG_HAS_LENGTHS = 1, LOGSIG_HAS_INITIAL = 2, LOGSIG_HAS_RESULT = 4, LOGSIG_HAS_INTERVALS = 8, LOGSIG_MOST_AXES = 64 };

/* The operands of a call, and what is allocated for it. */
typedef struct {
    const XLA_FFI_Buffer *d_out, *path, *lengths, *intervals, *initial, *result; /* null where there is none */
    int64_t rank;                   /* leading axes */
    int64_t rows[LOGSIG_MOST_AXES]; /* those of the result */
    int64_t paths[LOGSIG_MOST_AXES]; /* those of the paths, all of them different ones for gradients */
    void *owned[10];
    int count;
} logsig_path_operands;

/* The operands in the order d_out (of gradients), path, initial, lengths, intervals, result; "given" says which there are. */
static XLA_FFI_Error *logsig_read_operands(const XLA_FFI_CallFrame *frame, int backward, logsig_path_operands *operands)
{
    const int64_t given = logsig_integer(frame, "given"), state = logsig_integer(frame, "state");
    const int64_t wanted = 1 + backward + !!(given & LOGSIG_HAS_LENGTHS) + !!(given & LOGSIG_HAS_INITIAL) +
                           !!(given & LOGSIG_HAS_INTERVALS) + !!(given & LOGSIG_HAS_RESULT);
    if (frame->args.size != wanted || frame->rets.size != 1 + (backward && given & LOGSIG_HAS_INITIAL))
        return logsig_invalid(frame, "Wrong number of operands.");
    memset(operands, 0, sizeof *operands);
    int64_t place = 0;
    if (backward) operands->d_out = logsig_argument(frame, place++);
    operands->path = logsig_argument(frame, place++);
    if (given & LOGSIG_HAS_INITIAL) operands->initial = logsig_argument(frame, place++);
    if (given & LOGSIG_HAS_LENGTHS) operands->lengths = logsig_argument(frame, place++);
    if (given & LOGSIG_HAS_INTERVALS) operands->intervals = logsig_argument(frame, place++);
    if (given & LOGSIG_HAS_RESULT) operands->result = logsig_argument(frame, place++);
    operands->rank = operands->path->rank - 2;
    if (operands->rank < 0 || operands->rank > LOGSIG_MOST_AXES || state < LOGSIG_LOG_DERIVATIVE ||
        state > LOGSIG_SIGNATURE)
        return logsig_invalid(frame, "Too many axes, or no such state.");
    return NULL;
}

#endif
