/* Loaded before the C library: a kernel without some of its services. $LOGSIG_LACKS names them.
 *
 * locks: flock fails as on file systems that have none.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int flock(int file, int operation);

static int lacks(const char *what)
{
    const char *const all = getenv("LOGSIG_LACKS");
    return all && strstr(all, what) != NULL;
}

int flock(int file, int operation)
{
    static int (*real)(int, int);
    if (lacks("locks")) {
        errno = ENOSYS;
        return -1;
    }
    if (!real) real = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
    return real(file, operation);
}
