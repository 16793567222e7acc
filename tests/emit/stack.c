/* Calls a function in a thread whose stack is painted before, and looks how much of the paint is gone. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAINT = 0xA5, ARGUMENTS = 24 };

/* Functions of the generated libraries take addresses and integers; those they have no parameter for are ignored. */
typedef int (*anything)(intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t,
                        intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t,
                        intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t);

typedef struct {
    anything function;
    const intptr_t *a;
    int status;
} job;

static void *run(void *given)
{
    job *const j = given;
    const intptr_t *const a = j->a;
    if (j->function)
        j->status = j->function(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13],
                                a[14], a[15], a[16], a[17], a[18], a[19], a[20], a[21], a[22], a[23]);
    return NULL;
}

/* Bytes of `size` that the thread used; -1 if it could not be made. Below them is a page that nobody may touch. */
static ptrdiff_t measure(job *j, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *const memory =
        mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) return -1;
    mprotect(memory, page, PROT_NONE);
    memset(memory + page, PAINT, size);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    int failed = pthread_attr_setstack(&attributes, memory + page, size);
    if (!failed) failed = pthread_create(&thread, &attributes, run, j);
    if (!failed) failed = pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    size_t left = 0;
    while (left < size && memory[page + left] == PAINT) left++;
    munmap(memory, size + page);
    return failed ? -1 : (ptrdiff_t)(size - left);
}

/* Bytes of stack that a call takes, without what any thread takes; *status is what it returned. */
ptrdiff_t stack_of_call(intptr_t function, const intptr_t *arguments, size_t size, int *status);
ptrdiff_t stack_of_call(intptr_t function, const intptr_t *arguments, size_t size, int *status)
{
    job nothing = {NULL, arguments, 0}, all = {(anything)function, arguments, -1};
    const ptrdiff_t base = measure(&nothing, size), used = measure(&all, size);
    *status = all.status;
    return base < 0 || used < 0 ? -1 : used - base;
}
