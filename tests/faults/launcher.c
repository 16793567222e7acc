/* The launcher where allocations and functions of the driver fail: nothing is leaked, and errors say what failed. */
#include <stdlib.h>
#include <string.h>

static long live;
static int refusing;

void *driver_calloc(size_t count, size_t bytes);
void driver_free(void *at);

#define calloc driver_calloc
#define free driver_free
#include "logsig_launcher.c"
#undef calloc
#undef free

void *driver_calloc(size_t count, size_t bytes)
{
    if (refusing) return NULL;
    live++;
    return calloc(count, bytes);
}

void driver_free(void *at)
{
    live -= at != NULL;
    free(at);
}

int main(void)
{
    const logsig_image image = {"logsig_test", "\177ELF", 32, 4, 1000, 0}, damaged = {"logsig_test", "none", 32, 4, 1000, 0};
    const logsig_image nameless = {"other", "\177ELF", 32, 4, 1000, 0}, wide = {"logsig_test", "\177ELF", 32, 4, 1 << 30, 0};
    const logsig_image *const wrong[] = {&damaged, &nameless, &wide};
    const logsig_kernel *kernel = NULL;
    const logsig_device *device = NULL;
    refusing = 1;
    if (logsig_gpu_load(0, &image, &kernel) != LOGSIG_NO_MEMORY || kernel || !*logsig_gpu_error()) return 1;
    refusing = 0;
    for (int k = 0; k < 3; k++)
        if (!logsig_gpu_load(0, wrong[k], &kernel) || kernel || live || !*logsig_gpu_error()) return 2 + k;
    if (logsig_gpu_load(0, &image, &kernel) || !kernel || live != 1) return 5;
    if (!logsig_gpu_device(-1, &device) || !logsig_gpu_device(1000, &device) || !logsig_gpu_device(7, &device)) return 6;
    driver_free((void *)kernel);
    return live != 0;
}
