/* A driver without a device: just enough of libcuda for one that is found, loads modules and starts kernels.
 *
 * (The run-time compiler would look at this driver as well: what is to be loaded must be compiled before.)
 * Every launch is written to the error stream. A grid of 7777 blocks fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MULTIPROCESSORS 132
#include "cuda_devices.h"

static void *const the_module = (void *)0x77L;

int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuModuleLoadData(void **module, const void *image) { *module = the_module; return memcmp(image, "\177ELF", 4) ? 200 : 0; }
int cuModuleGetFunction(void **function, void *module, const char *name)
{
    *function = strdup(name);
    return module == the_module && !strncmp(name, "logsig_", 7) ? 0 : 500;
}
int cuFuncSetAttribute(void *function, int attribute, int value)
{
    if (attribute == CARVEOUT) return value == 100 ? 0 : 1;
    fprintf(stderr, "shared %s %d\n", (char *)function, value);
    return attribute == DYNAMIC_SHARED && value <= MOST_SHARED ? 0 : 1;
}
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *stream, void **arguments, void **extra)
{
    fprintf(stderr, "launch %s grid %u,%u,%u block %u,%u,%u shared %u stream %p arguments", (char *)function, gx, gy, gz,
            bx, by, bz, shared, stream);
    for (int i = 0; i < 7; i++) fprintf(stderr, " %lld", *(long long *)arguments[i]);
    fprintf(stderr, "\n");
    return depth != 1 || extra ? 201 : gx == 7777 ? 719 : 0;
}
int cuGetErrorName(int error, const char **text) { *text = error == 719 ? "CUDA_ERROR_LAUNCH_FAILED" : "CUDA_ERROR_INVALID_DEVICE"; return 0; }
int cuGetErrorString(int error, const char **text) { *text = error == 719 ? "unspecified launch failure" : "invalid device ordinal"; return 0; }

int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags, int *status)
{
    static void *self;
    char versioned[128];
    (void)version;
    (void)flags;
    if (!self) self = dlopen(getenv("LOGSIG_STUB"), RTLD_NOW);
    snprintf(versioned, sizeof versioned, "%s_v2", name);
    *function = dlsym(self, versioned);
    if (!*function) *function = dlsym(self, name);
    if (status) *status = !*function;
    return *function ? 0 : 500;
}
