/* XLA's side of calls on a GPU, on the host: handlers for GPUs are called with the frames of XLA for CPUs, in which the stream,
 * the device and the allocator are those below. Compiled against jaxlib's headers; handler k goes by xla_take(k, function).
 *
 * Memory is full of NaN when it is handed out; xla_kept() tells what was not given back.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "xla/ffi/api/c_api.h"

enum { HANDLERS = 32 };
static XLA_FFI_Handler *handlers[HANDLERS];
static XLA_FFI_Handler_Traits traits[HANDLERS];
static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER; /* an emulated grid has one set of threads */
static const XLA_FFI_Api *host;
static void *stream = (void *)0x5740L; /* that of the emulated driver */
static int ordinal, refusing;
static int64_t kept, allocations;

static XLA_FFI_Error *refuse(const char *message)
{
    XLA_FFI_Error_Create_Args args = {XLA_FFI_Error_Create_Args_STRUCT_SIZE, NULL, message,
                                      XLA_FFI_Error_Code_RESOURCE_EXHAUSTED};
    return host->XLA_FFI_Error_Create(&args);
}

static XLA_FFI_Error *stream_get(XLA_FFI_Stream_Get_Args *args)
{
    args->stream = stream;
    return NULL;
}

static XLA_FFI_Error *ordinal_get(XLA_FFI_DeviceOrdinal_Get_Args *args)
{
    args->device_ordinal = ordinal;
    return NULL;
}

static XLA_FFI_Error *allocate(XLA_FFI_DeviceMemory_Allocate_Args *args)
{
    if (refusing) return refuse("the device is full");
    args->data = aligned_alloc(args->alignment, (args->size + args->alignment - 1) / args->alignment * args->alignment);
    memset(args->data, 0xFF, args->size);
    allocations++;
    kept += (int64_t)args->size;
    return NULL;
}

static XLA_FFI_Error *give_back(XLA_FFI_DeviceMemory_Free_Args *args)
{
    memset(args->data, 0xFF, args->size);
    free(args->data);
    kept -= (int64_t)args->size;
    return NULL;
}

static XLA_FFI_Error *run(int k, XLA_FFI_CallFrame *frame)
{
    XLA_FFI_Extension_Base *const asked = frame->extension_start;
    if (asked) { /* XLA wants to know the version and the traits */
        XLA_FFI_Error *const error = handlers[k](frame);
        traits[k] = ((XLA_FFI_Metadata_Extension *)asked)->metadata->traits;
        return error;
    }
    pthread_mutex_lock(&alone);
    host = frame->api;
    XLA_FFI_Api api = *host;
    api.XLA_FFI_Stream_Get = stream_get;
    api.XLA_FFI_DeviceOrdinal_Get = ordinal_get;
    api.XLA_FFI_DeviceMemory_Allocate = allocate;
    api.XLA_FFI_DeviceMemory_Free = give_back;
    XLA_FFI_CallFrame call = *frame;
    call.api = &api;
    XLA_FFI_Error *const error = handlers[k](&call);
    pthread_mutex_unlock(&alone);
    return error;
}

#define HANDLER(k) XLA_FFI_Error *xla_handler_##k(XLA_FFI_CallFrame *frame) { return run(k, frame); }
#define EIGHT(t) HANDLER(t##0) HANDLER(t##1) HANDLER(t##2) HANDLER(t##3) HANDLER(t##4) HANDLER(t##5) HANDLER(t##6) HANDLER(t##7)
HANDLER(0) HANDLER(1) HANDLER(2) HANDLER(3) HANDLER(4) HANDLER(5) HANDLER(6) HANDLER(7) HANDLER(8) HANDLER(9)
EIGHT(1) HANDLER(18) HANDLER(19) EIGHT(2) HANDLER(28) HANDLER(29)

void xla_take(int k, XLA_FFI_Handler *handler) { handlers[k] = handler; }
unsigned xla_traits(int k) { return traits[k]; }
void xla_device(int number) { ordinal = number; }
void xla_stream(void *given) { stream = given; }
void xla_refuse(int whether) { refusing = whether; }
int64_t xla_kept(void) { return kept; }
int64_t xla_allocations(void) { return allocations; }
