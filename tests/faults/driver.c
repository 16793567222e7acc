/* Random calls of a generated library, in memory with edges (driver.h). Usage: driver CALLS SEED [refuse]
 *
 * With `refuse` every call is made again and again, each time with another of its allocations refused: it has to return
 * ENOMEM and to give back what it has. Prints how many calls were made, and how many allocations were refused.
 */
#include <math.h>
#include <stdatomic.h>

#include "driver.h"
#include "header.h"

static long calls_made;
static int refusing;
static atomic_long allocated, in_use, refuse_at, refused;

void *driver_malloc(size_t bytes);
void *driver_calloc(size_t count, size_t bytes);
void driver_free(void *at);

static int next_is_refused(void)
{
    const long number = atomic_fetch_add(&allocated, 1) + 1;
    if (number != atomic_load(&refuse_at)) return 0;
    atomic_fetch_add(&refused, 1);
    return 1;
}

void *driver_malloc(size_t bytes)
{
    void *const at = next_is_refused() ? NULL : malloc(bytes);
    atomic_fetch_add(&in_use, at != NULL);
    return at;
}

void *driver_calloc(size_t count, size_t bytes)
{
    void *const at = next_is_refused() ? NULL : calloc(count, bytes);
    atomic_fetch_add(&in_use, at != NULL);
    return at;
}

void driver_free(void *at)
{
    atomic_fetch_sub(&in_use, at != NULL);
    free(at);
}

/* Evaluates `expression`, a call. */
#define CALL(status, expression)                                                                                       \
    do {                                                                                                               \
        atomic_store(&allocated, 0);                                                                                   \
        (status) = (expression);                                                                                       \
        calls_made++;                                                                                                  \
        EXPECT(!atomic_load(&in_use), "%ld allocations are not given back", atomic_load(&in_use));                     \
        for (long k = refusing ? atomic_load(&allocated) : 0; k > 0; k -= 1 + k / 20) {                                \
            atomic_store(&allocated, 0);                                                                               \
            atomic_store(&refuse_at, k);                                                                               \
            const int result = (expression);                                                                           \
            atomic_store(&refuse_at, 0);                                                                               \
            calls_made++;                                                                                              \
            EXPECT(result == ENOMEM, "%d with allocation %ld refused", result, k);                                     \
            EXPECT(!atomic_load(&in_use), "%ld allocations are not given back", atomic_load(&in_use));                 \
        }                                                                                                              \
        if (refusing) (status) = (expression);                                                                         \
    } while (0)

/* Sizes around those where the code takes another way. */
static ptrdiff_t any_batch(ptrdiff_t most)
{
    const ptrdiff_t size = once_in(8192)  ? any(1 + most)
                           : once_in(128) ? any(600)
                           : any(3)       ? any(5)
                                          : ((ptrdiff_t)1 << any(6)) - 1 + any(3);
    return size < most ? size : most;
}

static ptrdiff_t any_length(ptrdiff_t most)
{
    const ptrdiff_t size = once_in(8192)  ? any(1 + most)
                           : once_in(256) ? any(900)
                           : once_in(64)  ? 190 + any(5)
                           : any(3)       ? any(5)
                                          : any(36);
    return size < most ? size : most;
}

static int any_jobs(void)
{
    return once_in(512) ? 2 + (int)any(3) : 1;
}

static unsigned char *number_strips[4];

/* Room for `count` numbers that ends where nothing can be touched. */
static ptrdiff_t *place_numbers(int slot, ptrdiff_t count)
{
    const size_t bytes = (size_t)count * sizeof(ptrdiff_t);
#ifdef LOGSIG_HEAP
    (void)slot;
    return hold(bytes);
#else
    return (ptrdiff_t *)(number_strips[slot] + STRIP - bytes);
#endif
}

#define REAL double
#define REAL_NAME(name) name##_f64
#define FN(name) SYMBOL(name, f64)
#include "driver_calls.h"
#undef REAL
#undef REAL_NAME
#undef FN
#define REAL float
#define REAL_NAME(name) name##_f32
#define FN(name) SYMBOL(name, f32)
#include "driver_calls.h"

int main(int count, char **words)
{
    const long wanted = count > 1 ? atol(words[1]) : 1000;
    if (count > 2) random_state ^= strtoull(words[2], NULL, 10) * 0x9e3779b97f4a7c15u;
    refusing = count > 3 && !strcmp(words[3], "refuse");
    for (int k = 0; k < 4; k++) number_strips[k] = new_strip(STRIP);
    open_memory_f64();
    open_memory_f32();
    while (calls_made < wanted) {
        try_one_f64();
        try_one_f32();
    }
    printf("%ld %ld\n", calls_made, atomic_load(&refused));
    return 0;
}
