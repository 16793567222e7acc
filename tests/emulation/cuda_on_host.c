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

#define MULTIPROCESSORS 2
#include "cuda_devices.h"

static void *const the_stream = (void *)0x5740L;

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
    return attribute == DYNAMIC_SHARED && value <= MOST_SHARED ? 0 : 1;
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
