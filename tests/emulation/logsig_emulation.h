/* A grid on the host: blocks one after the other, the threads of a block as fibers that yield at barriers.
 *
 * Between two barriers a fiber runs alone, in an order that changes from barrier to barrier, so that what is read
 * before its barrier is found. Shared memory is full of NaN when a block begins. A barrier not every thread reaches
 * ends the program.
 */
#ifndef LOGSIG_EMULATION_H
#define LOGSIG_EMULATION_H

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct logsig_emulated_index {
    unsigned x, y, z;
};
static logsig_emulated_index threadIdx, blockIdx, blockDim, gridDim;
__attribute__((visibility("hidden"))) extern unsigned char memory[];

static const std::size_t logsig_shared_limit = 227 * 1024, logsig_guard = 64;
__attribute__((aligned(16), visibility("hidden"))) unsigned char memory[227 * 1024 + 64];

/* A fiber begins by setcontext. All later changes are jumps: a change of context is a call of the system each time. */
struct logsig_fiber {
    enum { NEW, READY, AT_WARP, AT_BLOCK, DONE } state;
    ucontext_t context;
    jmp_buf place; /* where it waits */
};
static logsig_fiber logsig_fibers[1024];
static const std::size_t logsig_stack = 1 << 21; /* only what is touched takes memory */
static jmp_buf logsig_scheduler;
static unsigned logsig_running;
static void (*logsig_kernel)(const void *);
static const void *logsig_arguments;

static void logsig_enter()
{
    logsig_kernel(logsig_arguments);
    logsig_fibers[logsig_running].state = logsig_fiber::DONE;
    _longjmp(logsig_scheduler, 1);
}

/* Lets a fiber run until its next barrier, or its end. */
static void logsig_resume(logsig_fiber &fiber)
{
    if (_setjmp(logsig_scheduler)) return;
    if (fiber.state == logsig_fiber::NEW) setcontext(&fiber.context);
    else _longjmp(fiber.place, 1);
}

static void logsig_yield(int state)
{
    const unsigned self = logsig_running;
    logsig_fibers[self].state = (decltype(logsig_fiber::state))state;
    if (!_setjmp(logsig_fibers[self].place)) _longjmp(logsig_scheduler, 1);
}
static inline void __syncwarp() { logsig_yield(logsig_fiber::AT_WARP); }
static inline void __syncthreads() { logsig_yield(logsig_fiber::AT_BLOCK); }

/* A value from the lane `distance` above; its own where there is none. */
template <class T> static inline T __shfl_down_sync(unsigned, T value, int distance)
{
    static T values[1024];
    const unsigned self = logsig_running;
    values[self] = value;
    __syncwarp();
    const T result = self % 32 + distance < 32 ? values[self + distance] : value;
    __syncwarp();
    return result;
}

/* The value of the lane `source`. */
template <class T> static inline T __shfl_sync(unsigned, T value, int source)
{
    static T values[1024];
    const unsigned self = logsig_running;
    values[self] = value;
    __syncwarp();
    const T result = values[self / 32 * 32 + source % 32];
    __syncwarp();
    return result;
}

/* Whether a condition holds for all lanes, for any of them. */
static inline int __all_sync(unsigned, int condition)
{
    int all = 1;
    for (int lane = 0; lane < 32; lane++) all &= __shfl_sync(0, condition != 0, lane);
    return all;
}
static inline int __any_sync(unsigned, int condition)
{
    return !__all_sync(0, !condition);
}

/* Lets fibers from `first` to `end` go on if all that are not done wait for `state`. */
static bool logsig_release(unsigned first, unsigned end, int state)
{
    bool any = false;
    for (unsigned t = first; t < end; t++) {
        if (logsig_fibers[t].state == state) any = true;
        else if (logsig_fibers[t].state != logsig_fiber::DONE) return false;
    }
    for (unsigned t = first; t < end; t++)
        if (logsig_fibers[t].state == state) logsig_fibers[t].state = logsig_fiber::READY;
    return any;
}

static void logsig_run_block(unsigned threads, char *stacks)
{
    for (unsigned t = 0; t < threads; t++) {
        logsig_fiber &fiber = logsig_fibers[t];
        fiber.state = logsig_fiber::NEW;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = stacks + t * logsig_stack;
        fiber.context.uc_stack.ss_size = logsig_stack;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, logsig_enter, 0);
    }
    unsigned order = 1;
    for (;;) {
        unsigned done = 0;
        bool moved = false;
        order = order * 5 + 3;
        for (unsigned i = 0; i < threads; i++) {
            const unsigned t = (i * 37 + order) % threads; /* 37 and the number of threads have no common divisor */
            logsig_fiber &fiber = logsig_fibers[t];
            if (fiber.state == logsig_fiber::NEW || fiber.state == logsig_fiber::READY) {
                logsig_running = t;
                threadIdx = {t, 0, 0};
                logsig_resume(fiber);
                moved = true;
            }
            if (fiber.state == logsig_fiber::DONE) done++;
        }
        if (done == threads) return;
        for (unsigned w = 0; w < threads; w += 32)
            moved |= logsig_release(w, w + 32 < threads ? w + 32 : threads, logsig_fiber::AT_WARP);
        moved |= logsig_release(0, threads, logsig_fiber::AT_BLOCK);
        if (!moved) {
            std::fprintf(stderr, "deadlock: a barrier that not every thread reaches\n");
            std::abort();
        }
    }
}

/* Runs `kernel`, a function of no arguments, in every thread of a grid. */
template <class Kernel>
static int logsig_emulate(unsigned grid, unsigned block, std::size_t shared, const Kernel &kernel)
{
    if (shared > logsig_shared_limit || block > 1024) return 1;
    logsig_kernel = [](const void *called) { (*(const Kernel *)called)(); };
    logsig_arguments = &kernel;
    gridDim = {grid, 1, 1};
    blockDim = {block, 1, 1};
    /* Not reserved: a process that forks would have to have as much memory. */
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *const stacks = mmap(nullptr, block * logsig_stack, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (stacks == MAP_FAILED) std::abort();
    int result = 0;
    for (unsigned b = 0; b < grid && !result; b++) {
        std::memset(memory, 0xFF, shared);
        std::memset(memory + shared, 0xA5, logsig_guard);
        blockIdx = {b, 0, 0};
        logsig_run_block(block, (char *)stacks);
        for (std::size_t i = 0; i < logsig_guard; i++)
            if (memory[shared + i] != 0xA5) result = 2;
    }
    munmap(stacks, block * logsig_stack);
    return result;
}

#endif
