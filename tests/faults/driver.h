/* Memory with an edge for the calls of driver.c: an access beyond it ends the process.
 *
 * A *strip* is a stretch of pages between two pages that cannot be touched; a *comb* is many of them, 1 << tooth pages each,
 * with such a page between neighbours. What is only read lies in pages that cannot be written. With LOGSIG_HEAP arrays
 * are allocated for each call instead, exactly as long as they are, for the address sanitizer.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#endif

enum { PAGE = 4096, STRIP = 8 << 20, COMB = 2 << 20, TEETH = 4, READ_ONLY = 6, WRITTEN = 3, MOST_HELD = 64, CANARY = 0x5a, SEEN = 64 };

static uint64_t random_state = 88172645463325252u;

static inline uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* 0 ... below - 1. */
static inline ptrdiff_t any(ptrdiff_t below)
{
    return (ptrdiff_t)((random_bits() >> 11) % (uint64_t)below);
}

static inline int once_in(ptrdiff_t times)
{
    return any(times) == 0;
}

static const char *now_called = "";

#define EXPECT(condition, ...)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s, line %d: %s: ", now_called, __LINE__, #condition);                                    \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline int is_marked(const void *from, const void *to)
{
    const unsigned char *const first = from;
    const ptrdiff_t count = (const unsigned char *)to - first;
    return count <= 0 || (*first == CANARY && !memcmp(first, first + 1, (size_t)count - 1));
}

/* Pages `bytes` long between two that cannot be touched. */
static inline unsigned char *new_strip(size_t bytes)
{
    unsigned char *const all = mmap(NULL, bytes + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED || mprotect(all + PAGE, bytes, PROT_READ | PROT_WRITE)) perror("mmap"), exit(3);
    return all + PAGE;
}

static inline ptrdiff_t tooth_bytes(int tooth)
{
    return (ptrdiff_t)PAGE << 2 * tooth;
}

static inline ptrdiff_t tooth_period(int tooth)
{
    return tooth_bytes(tooth) + PAGE;
}

static inline ptrdiff_t tooth_count(int tooth)
{
    return COMB / tooth_period(tooth);
}

/* Memory of one array: a strip, and a comb of each kind. */
typedef struct {
    unsigned char *strip, *combs[TEETH];
} edges;

static inline edges new_edges(void)
{
    edges made;
    made.strip = new_strip(STRIP);
    for (int k = 0; k < TEETH; k++) {
        made.combs[k] = new_strip(COMB);
        for (ptrdiff_t t = 0; t < tooth_count(k); t++)
            mprotect(made.combs[k] + t * tooth_period(k) + tooth_bytes(k), PAGE, PROT_NONE);
    }
    return made;
}

static inline void only_read(const edges *at)
{
    mprotect(at->strip, STRIP, PROT_READ);
    for (int k = 0; k < TEETH; k++)
        for (ptrdiff_t t = 0; t < tooth_count(k); t++)
            mprotect(at->combs[k] + t * tooth_period(k), (size_t)tooth_bytes(k), PROT_READ);
}

/* Arrays of the heap that the call at hand holds. */
static void *held[MOST_HELD];
static int held_count;

static inline void *hold(size_t bytes)
{
    void *const at = malloc(bytes ? bytes : 1);
    if (!at || held_count == MOST_HELD) abort();
    if (!bytes) ASAN_POISON_MEMORY_REGION(at, 1);
    return held[held_count++] = at;
}

static inline void release_all(void)
{
    while (held_count) free(held[--held_count]);
}

#endif
