/* A driver that runs kernels on the host: enough of libcuda for a program that loads modules and starts kernels.
 *
 * The image of a kernel is the path of a library whose function `launch` runs its grid (see tests/emulated.py). Loads
 * and launches are written to the error stream. A kernel of another architecture than 9.0, or a launch without a
 * current context or outside torch's stream, is an error.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { MULTIPROCESSORS = 16, CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76, SHARED_OPTIN = 97, DYNAMIC_SHARED = 8, CARVEOUT = 9 };
static void *const the_context = (void *)0x1230L, *const the_stream = (void *)0x5740L;
static _Thread_local int depth;

int cuInit(unsigned flags) { return (int)flags; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal < 2 ? 0 : 101; }
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    (void)device;
    switch (attribute) {
    case CAPABILITY_MAJOR: *value = 9; return 0;
    case CAPABILITY_MINOR: *value = 0; return 0;
    case MULTIPROCESSORS: *value = 2; return 0;
    case SHARED_OPTIN: *value = 232448; return 0;
    default: return 1;
    }
}
int cuDevicePrimaryCtxRetain(void **context, int device) { (void)device; *context = the_context; return 0; }
int cuCtxPushCurrent_v2(void *context) { depth++; return context == the_context ? 0 : 201; }
int cuCtxPopCurrent_v2(void **context) { *context = the_context; return depth-- > 0 ? 0 : 201; }
int cuModuleLoadData(void **module, const void *image)
{
    if (!depth) return 201;
    fprintf(stderr, "load %s\n", strrchr((const char *)image, '/') + 1);
    *module = dlopen((const char *)image, RTLD_NOW | RTLD_LOCAL);
    return *module ? 0 : 209;
}
int cuModuleGetFunction(void **function, void *module, const char *name)
{
    *function = strncmp(name, "logsig_", 7) ? NULL : dlsym(module, "launch");
    return *function ? 0 : 500;
}
int cuFuncSetAttribute(void *function, int attribute, int value)
{
    (void)function;
    if (attribute == CARVEOUT) return value == 100 ? 0 : 1;
    return attribute == DYNAMIC_SHARED && value <= 232448 ? 0 : 1;
}
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *stream, void **arguments, void **extra)
{
    fprintf(stderr, "launch %u x %u\n", gx, bx);
    if (!depth) return 201;
    if (extra || stream != the_stream || gy * gz * by * bz != 1) return 1;
    return ((int (*)(unsigned, unsigned, size_t, void **))function)(gx, bx, shared, arguments) ? 719 : 0;
}
int cuGetErrorName(int error, const char **text) { *text = error == 209 ? "CUDA_ERROR_NO_BINARY_FOR_GPU" : "CUDA_ERROR_UNKNOWN"; return 0; }
int cuGetErrorString(int error, const char **text) { *text = error == 209 ? "no kernel image is available" : "an error"; return 0; }
