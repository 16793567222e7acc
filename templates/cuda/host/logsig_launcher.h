/* The host's side of kernels for NVIDIA GPUs: devices, loading of binaries, launch geometry, launches.
 *
 * Plain C that is C++ as well. Nothing of CUDA is needed to build it: the functions of the driver are looked up in
 * libcuda.so.1 when a device is first asked for. Nothing here waits for a device or allocates memory on one. Functions
 * return LOGSIG_OK or what is wrong; logsig_gpu_error() says it in words. They may be called by several threads.
 */
#ifndef LOGSIG_LAUNCHER_H
#define LOGSIG_LAUNCHER_H

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef LOGSIG_HOST
#define LOGSIG_HOST static inline __attribute__((unused))
#endif
#ifndef LOGSIG_CUDA_DRIVER
#define LOGSIG_CUDA_DRIVER "libcuda.so.1"
#endif

/* -- declarations ------------------------------------------------------------------------------------------------- */
/* Python's are made of this section (logsig_codegen/build/abi.py). */

enum {
    LOGSIG_OK,
    LOGSIG_DRIVER_ERROR, /* a function of the driver failed, or there is no driver */
    LOGSIG_UNSUPPORTED,  /* a device older than what kernels are compiled for */
    LOGSIG_NO_KERNEL,    /* a kernel needs more shared memory than the device has, or there is none */
    LOGSIG_NO_MEMORY,    /* of the host */
    LOGSIG_WANTS_KERNEL  /* a kernel has to be looked for */
};

/* A GPU, in the primary context, which torch uses as well. architecture: 90 for compute capability 9.0. */
typedef struct {
    int ordinal;
    void *context;
    int architecture, multiprocessors, shared_bytes; /* shared_bytes: what a block can have */
} logsig_device;

/* A kernel as it was compiled. The image, which ends with a zero, has to outlive the process's use of it. */
typedef struct {
    const char *symbol;
    const void *image;
    int64_t samples;    /* of a warp; of a block, if cooperative */
    int64_t warps;      /* of a block, at most; exactly, if cooperative */
    int64_t warp_bytes; /* shared memory of a warp; of a block, if cooperative */
    int cooperative;    /* whether all warps of a block work on the same samples */
} logsig_image;

/* A kernel that is loaded on one device. It is never unloaded. */
typedef struct {
    const logsig_device *device;
    void *function;
    int64_t samples, warps, warp_bytes; /* warp_bytes: of a warp in every case */
    int cooperative;
} logsig_kernel;

/* What the last failure of this thread was. */
LOGSIG_HOST const char *logsig_gpu_error(void);
LOGSIG_HOST int logsig_gpu_device(int ordinal, const logsig_device **found);
LOGSIG_HOST int logsig_gpu_load(int ordinal, const logsig_image *image, const logsig_kernel **loaded);
/* Start a kernel in a stream, in as many blocks as `batch` takes. Arguments are addresses and 64-bit integers in the
 * kernel's order, without the last one, which is `batch`. */
LOGSIG_HOST int logsig_gpu_launch(const logsig_kernel *kernel, int64_t batch, const int64_t *arguments, int count,
                                  void *stream);
/* Kernels that this process has started, whether or not that went well. */
LOGSIG_HOST int64_t logsig_gpu_launches(void);
/* -- end of the declarations -------------------------------------------------------------------------------------- */

enum { LOGSIG_WARP_THREADS = 32, LOGSIG_OLDEST = 70, LOGSIG_MOST_ARGUMENTS = 24, LOGSIG_MOST_DEVICES = 64 };

/* -- the driver --------------------------------------------------------------------------------------------------- */

/* What is used of libcuda; handles are pointers, a status of 0 is success. */
typedef struct {
    int ready;
    int (*init)(unsigned);
    int (*device)(int *, int);
    int (*attribute)(int *, int, int);
    int (*retain)(void **, int);
    int (*push)(void *);
    int (*pop)(void **);
    int (*load)(void **, const void *);
    int (*function)(void **, void *, const char *);
    int (*set)(void *, int, int);
    int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                  void **);
    int (*error_name)(int, const char **);
    int (*error_text)(int, const char **);
} logsig_driver;

static logsig_driver logsig_cuda;
static logsig_device logsig_devices[LOGSIG_MOST_DEVICES]; /* those with a context are known */
static pthread_mutex_t logsig_gpu_mutex = PTHREAD_MUTEX_INITIALIZER;
static int64_t logsig_gpu_started;
static __thread char logsig_gpu_message[400];

LOGSIG_HOST const char *logsig_gpu_error(void)
{
    return logsig_gpu_message;
}

#define LOGSIG_FAIL(status, ...)                                                                                       \
    (snprintf(logsig_gpu_message, sizeof logsig_gpu_message, __VA_ARGS__), (int)(status))

static inline int logsig_cuda_check(int status, const char *call)
{
    const char *name = NULL, *text = NULL;
    if (!status) return LOGSIG_OK;
    logsig_cuda.error_name(status, &name);
    logsig_cuda.error_text(status, &text);
    return LOGSIG_FAIL(LOGSIG_DRIVER_ERROR, "%s: %s: %s", call, name ? name : "unknown error", text ? text : "");
}

#define LOGSIG_TRY(call)                                                                                               \
    do {                                                                                                               \
        const int logsig_tried = (call);                                                                               \
        if (logsig_tried) return logsig_tried;                                                                         \
    } while (0)

static inline int logsig_find_driver(void)
{
    const struct {
        const char *name;
        void *place;
    } wanted[] = {
        {"cuInit", &logsig_cuda.init},
        {"cuDeviceGet", &logsig_cuda.device},
        {"cuDeviceGetAttribute", &logsig_cuda.attribute},
        {"cuDevicePrimaryCtxRetain", &logsig_cuda.retain},
        {"cuCtxPushCurrent_v2", &logsig_cuda.push},
        {"cuCtxPopCurrent_v2", &logsig_cuda.pop},
        {"cuModuleLoadData", &logsig_cuda.load},
        {"cuModuleGetFunction", &logsig_cuda.function},
        {"cuFuncSetAttribute", &logsig_cuda.set},
        {"cuLaunchKernel", &logsig_cuda.launch},
        {"cuGetErrorName", &logsig_cuda.error_name},
        {"cuGetErrorString", &logsig_cuda.error_text},
    };
    void *const library = dlopen(LOGSIG_CUDA_DRIVER, RTLD_NOW);
    if (!library) return LOGSIG_FAIL(LOGSIG_DRIVER_ERROR, "the CUDA driver cannot be loaded: %s", dlerror());
    for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
        void *const found = *(void **)wanted[k].place = dlsym(library, wanted[k].name);
        if (!found) return LOGSIG_FAIL(LOGSIG_DRIVER_ERROR, "the CUDA driver lacks %s", wanted[k].name);
    }
    LOGSIG_TRY(logsig_cuda_check(logsig_cuda.init(0), "cuInit"));
    logsig_cuda.ready = 1;
    return LOGSIG_OK;
}

static inline int logsig_open_device(logsig_device *device)
{
    enum { MULTIPROCESSORS = 16, CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76, SHARED_BYTES_OF_BLOCK = 97 };
    int handle = 0, major = 0, minor = 0;
    const struct {
        int which, *value;
    } wanted[] = {
        {CAPABILITY_MAJOR, &major},
        {CAPABILITY_MINOR, &minor},
        {MULTIPROCESSORS, &device->multiprocessors},
        {SHARED_BYTES_OF_BLOCK, &device->shared_bytes},
    };
    if (!logsig_cuda.ready) LOGSIG_TRY(logsig_find_driver());
    LOGSIG_TRY(logsig_cuda_check(logsig_cuda.device(&handle, device->ordinal), "cuDeviceGet"));
    for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
        LOGSIG_TRY(logsig_cuda_check(logsig_cuda.attribute(wanted[k].value, wanted[k].which, handle),
                                     "cuDeviceGetAttribute"));
    }
    device->architecture = 10 * major + minor;
    if (device->architecture < LOGSIG_OLDEST) {
        return LOGSIG_FAIL(LOGSIG_UNSUPPORTED, "device cuda:%d has compute capability %d.%d; %d.%d is the least",
                           device->ordinal, major, minor, LOGSIG_OLDEST / 10, LOGSIG_OLDEST % 10);
    }
    return logsig_cuda_check(logsig_cuda.retain(&device->context, handle), "cuDevicePrimaryCtxRetain");
}

/* The GPU of a number; it is valid as long as the process lives. */
LOGSIG_HOST int logsig_gpu_device(int ordinal, const logsig_device **found)
{
    int status = LOGSIG_OK;
    if (ordinal < 0 || ordinal >= LOGSIG_MOST_DEVICES) {
        return LOGSIG_FAIL(LOGSIG_UNSUPPORTED, "device cuda:%d: expected a number below %d", ordinal,
                           LOGSIG_MOST_DEVICES);
    }
    pthread_mutex_lock(&logsig_gpu_mutex);
    logsig_device *const device = &logsig_devices[ordinal];
    device->ordinal = ordinal;
    if (!device->context) status = logsig_open_device(device);
    pthread_mutex_unlock(&logsig_gpu_mutex);
    *found = device;
    return status;
}

/* -- kernels ------------------------------------------------------------------------------------------------------ */

/* The rest of logsig_gpu_load, in the context of the device. */
static inline int logsig_load_function(logsig_kernel *kernel, const logsig_image *image)
{
    enum { DYNAMIC_SHARED_BYTES = 8, SHARED_CARVEOUT = 9 };
    void *module = NULL;
    LOGSIG_TRY(logsig_cuda_check(logsig_cuda.load(&module, image->image), "cuModuleLoadData"));
    LOGSIG_TRY(logsig_cuda_check(logsig_cuda.function(&kernel->function, module, image->symbol), "cuModuleGetFunction"));
    LOGSIG_TRY(logsig_cuda_check(
        logsig_cuda.set(kernel->function, DYNAMIC_SHARED_BYTES, (int)(kernel->warps * kernel->warp_bytes)),
        "cuFuncSetAttribute"));
    if (kernel->cooperative && kernel->samples != LOGSIG_WARP_THREADS) return LOGSIG_OK; /* tables want a cache */
    return logsig_cuda_check(logsig_cuda.set(kernel->function, SHARED_CARVEOUT, 100), "cuFuncSetAttribute");
}

/* Load a kernel; blocks have as many warps as the device has shared memory for. */
LOGSIG_HOST int logsig_gpu_load(int ordinal, const logsig_image *image, const logsig_kernel **loaded)
{
    const logsig_device *device = NULL;
    void *before = NULL;
    *loaded = NULL;
    LOGSIG_TRY(logsig_gpu_device(ordinal, &device));
    logsig_kernel *const kernel = (logsig_kernel *)calloc(1, sizeof(logsig_kernel));
    if (!kernel) return LOGSIG_FAIL(LOGSIG_NO_MEMORY, "no memory for the description of a kernel");
    kernel->device = device;
    kernel->samples = image->samples;
    kernel->warps = image->warps;
    kernel->cooperative = image->cooperative;
    kernel->warp_bytes = image->cooperative ? image->warp_bytes / image->warps : image->warp_bytes;
    while (!kernel->cooperative && kernel->warps > 1 && kernel->warps * kernel->warp_bytes > device->shared_bytes) {
        kernel->warps--;
    }
    const long long bytes = kernel->warps * kernel->warp_bytes;
    int status;
    if (bytes > device->shared_bytes) {
        status = LOGSIG_FAIL(LOGSIG_NO_KERNEL,
                             "%s needs %lld bytes of shared memory, device cuda:%d has %d for a block", image->symbol,
                             bytes, ordinal, device->shared_bytes);
    } else {
        status = logsig_cuda_check(logsig_cuda.push(device->context), "cuCtxPushCurrent");
        if (!status) {
            status = logsig_load_function(kernel, image);
            logsig_cuda.pop(&before);
        }
    }
    if (status) {
        free(kernel);
        return status;
    }
    *loaded = kernel;
    return LOGSIG_OK;
}

LOGSIG_HOST int logsig_gpu_launch(const logsig_kernel *kernel, int64_t batch, const int64_t *arguments, int count,
                                  void *stream)
{
    void *pointers[LOGSIG_MOST_ARGUMENTS + 1], *before = NULL;
    int64_t tiles = (batch + kernel->samples - 1) / kernel->samples, warps = kernel->warps;
    if (batch <= 0) return LOGSIG_OK;
    for (int k = 0; k < count; k++) pointers[k] = (void *)&arguments[k];
    pointers[count] = &batch;
    if (!kernel->cooperative) { /* few tiles: a block each, so that every multiprocessor has one */
        const int64_t each = tiles / kernel->device->multiprocessors;
        warps = each < 1 ? 1 : each < warps ? each : warps;
        tiles = (tiles + warps - 1) / warps;
    }
    const unsigned blocks = tiles < INT32_MAX ? (unsigned)tiles : (unsigned)INT32_MAX;
    __atomic_fetch_add(&logsig_gpu_started, 1, __ATOMIC_RELAXED);
    LOGSIG_TRY(logsig_cuda_check(logsig_cuda.push(kernel->device->context), "cuCtxPushCurrent"));
    const int status = logsig_cuda.launch(kernel->function, blocks, 1, 1, (unsigned)(LOGSIG_WARP_THREADS * warps), 1, 1,
                                          (unsigned)(warps * kernel->warp_bytes), stream, pointers, NULL);
    logsig_cuda.pop(&before);
    return logsig_cuda_check(status, "cuLaunchKernel");
}

LOGSIG_HOST int64_t logsig_gpu_launches(void)
{
    return __atomic_load_n(&logsig_gpu_started, __ATOMIC_RELAXED);
}

#endif
