/* Vectors of numbers, one sample per lane, and what the generated kernels do with them.
 *
 *   logsig_real                       double or float, chosen by LOGSIG_REAL_BITS (64 or 32)
 *   logsig_vec, LOGSIG_LANES          a vector of that many numbers; with one lane, simply a number
 *   LOGSIG_ADD SUB MUL NEG SET1       elementwise
 *   LOGSIG_FMA(a, b, c)               a * b + c
 *   LOGSIG_FNMA(a, b, c)              c - a * b
 *   logsig_load, logsig_store         LANES neighbours in memory, any alignment
 *   logsig_load_part, _store_part     the same for elements first..last-1 only; touches no other byte
 *   logsig_load_some                  the first numbers only, and zeros
 *   logsig_transpose(tile)            LANES vectors: rows become columns and columns rows
 *   logsig_transpose_head(tile)       the same, cheaper when only the first half or quarter of the result is used
 *
 * The instruction set is the one the compiler was told to use (-march=...): AVX-512, AVX2 with FMA, NEON, or
 * whatever 16-byte vectors the compiler can make of plain C.
 *
 * Results must not depend on which code computed them, so nothing is left to the optimiser: the kernels are compiled
 * with -ffp-contract=off and ask for a fused multiply-add by name. Without FMA hardware both roundings happen, always.
 */
#ifndef LOGSIG_SIMD_H
#define LOGSIG_SIMD_H

#include <stddef.h>
#include <stdint.h>

#if LOGSIG_REAL_BITS == 64
typedef double logsig_real;
#elif LOGSIG_REAL_BITS == 32
typedef float logsig_real;
#else
#error "define LOGSIG_REAL_BITS as 64 or 32"
#endif

#ifdef __GNUC__
#define LOGSIG_UNUSED __attribute__((unused))
#define LOGSIG_INLINE static inline __attribute__((always_inline, unused))
#define LOGSIG_NOINLINE static __attribute__((noinline, unused))
#define LOGSIG_LIKELY(condition) __builtin_expect(!!(condition), 1)
#else
#define LOGSIG_UNUSED
#define LOGSIG_INLINE static inline
#define LOGSIG_NOINLINE static
#define LOGSIG_LIKELY(condition) (condition)
#endif

/* A tile lives in registers only when every loop over it is unrolled: gcc does not do that by itself at -O2. */
#if defined(__clang__)
#define LOGSIG_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define LOGSIG_UNROLL _Pragma("GCC unroll 16")
#else
#define LOGSIG_UNROLL
#endif

/* ---- the vector type ------------------------------------------------------------------------------------------- */

/* A caller may ask for narrower vectors than the processor has. */
#ifndef LOGSIG_MAX_VECTOR_BYTES
#define LOGSIG_MAX_VECTOR_BYTES 64
#endif

#if !defined(__GNUC__) || LOGSIG_MAX_VECTOR_BYTES < 16
#define LOGSIG_VECTOR_BYTES (LOGSIG_REAL_BITS / 8)
#elif defined(__AVX512F__) && LOGSIG_MAX_VECTOR_BYTES >= 64
#define LOGSIG_AVX512 1
#define LOGSIG_VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__) && LOGSIG_MAX_VECTOR_BYTES >= 32
#define LOGSIG_AVX2 1
#define LOGSIG_VECTOR_BYTES 32
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define LOGSIG_NEON 1
#define LOGSIG_VECTOR_BYTES 16
#else
#define LOGSIG_VECTOR_BYTES 16
#endif

#define LOGSIG_LANES (LOGSIG_VECTOR_BYTES / (LOGSIG_REAL_BITS / 8))

/* Keeps a value in a register: without this compilers read it from memory in each product it is a factor of. */
#if (LOGSIG_AVX512 || LOGSIG_AVX2) && defined(__GNUC__)
#define LOGSIG_KEEP(x) __asm__("" : "+v"(x))
#else
#define LOGSIG_KEEP(x) ((void)(x))
#endif

#if LOGSIG_LANES == 1
typedef logsig_real logsig_vec;
#else
typedef logsig_real logsig_vec __attribute__((vector_size(LOGSIG_VECTOR_BYTES)));
/* the same, for memory that is not aligned to it */
typedef logsig_real logsig_loose_vec
    __attribute__((vector_size(LOGSIG_VECTOR_BYTES), aligned(LOGSIG_REAL_BITS / 8), may_alias));
#endif

/* LOGSIG_SIMD(fmadd) is the name of the instruction set's own function for fused multiply-adds of vectors. The header
 * that declares such functions for x86 takes compilers longer than a small kernel does: where GCC has the builtin
 * functions that they stand for, these are called instead. */
#if (LOGSIG_AVX512 || LOGSIG_AVX2) && defined(__has_builtin) && !defined(__clang__)
#if LOGSIG_AVX512 && __has_builtin(__builtin_ia32_vfmaddpd512_mask) && \
    __has_builtin(__builtin_ia32_vfnmaddpd512_mask) && __has_builtin(__builtin_ia32_loadupd512_mask) && \
    __has_builtin(__builtin_ia32_storeupd512_mask)
#define LOGSIG_BUILTINS 1
#elif LOGSIG_AVX2 && __has_builtin(__builtin_ia32_vfmaddpd256) && __has_builtin(__builtin_ia32_vfnmaddpd256) && \
    __has_builtin(__builtin_ia32_maskloadpd256) && __has_builtin(__builtin_ia32_maskstorepd256)
#define LOGSIG_BUILTINS 1
#endif
#endif

#if LOGSIG_BUILTINS && LOGSIG_AVX512 && LOGSIG_REAL_BITS == 64
#define LOGSIG_SIMD(name) __builtin_ia32_##name##pd512_mask
#elif LOGSIG_BUILTINS && LOGSIG_AVX512
#define LOGSIG_SIMD(name) __builtin_ia32_##name##ps512_mask
#elif LOGSIG_BUILTINS && LOGSIG_REAL_BITS == 64
#define LOGSIG_SIMD(name) __builtin_ia32_##name##pd256
#elif LOGSIG_BUILTINS
#define LOGSIG_SIMD(name) __builtin_ia32_##name##ps256
#elif LOGSIG_AVX512 || LOGSIG_AVX2
#include <immintrin.h>
#if LOGSIG_AVX512 && LOGSIG_REAL_BITS == 64
#define LOGSIG_SIMD(name) _mm512_##name##_pd
#elif LOGSIG_AVX512
#define LOGSIG_SIMD(name) _mm512_##name##_ps
#elif LOGSIG_REAL_BITS == 64
#define LOGSIG_SIMD(name) _mm256_##name##_pd
#else
#define LOGSIG_SIMD(name) _mm256_##name##_ps
#endif
#elif LOGSIG_NEON
#include <arm_neon.h>
#if LOGSIG_REAL_BITS == 64
#define LOGSIG_SIMD(name) v##name##_f64
#else
#define LOGSIG_SIMD(name) v##name##_f32
#endif
#endif

/* ---- arithmetic ------------------------------------------------------------------------------------------------ */

#define LOGSIG_ADD(a, b) ((a) + (b))
#define LOGSIG_SUB(a, b) ((a) - (b))
#define LOGSIG_MUL(a, b) ((a) * (b))
#define LOGSIG_NEG(a) (-(a))

#if LOGSIG_BUILTINS && LOGSIG_AVX512
/* All lanes, with the rounding that is set. */
#define LOGSIG_FMA(a, b, c) LOGSIG_SIMD(vfmadd)((a), (b), (c), -1, 4)
#define LOGSIG_FNMA(a, b, c) LOGSIG_SIMD(vfnmadd)((a), (b), (c), -1, 4)
#elif LOGSIG_BUILTINS
#define LOGSIG_FMA(a, b, c) LOGSIG_SIMD(vfmadd)((a), (b), (c))
#define LOGSIG_FNMA(a, b, c) LOGSIG_SIMD(vfnmadd)((a), (b), (c))
#elif LOGSIG_AVX512 || LOGSIG_AVX2
#define LOGSIG_FMA(a, b, c) ((logsig_vec)LOGSIG_SIMD(fmadd)((a), (b), (c)))
#define LOGSIG_FNMA(a, b, c) ((logsig_vec)LOGSIG_SIMD(fnmadd)((a), (b), (c)))
#elif LOGSIG_NEON
#define LOGSIG_FMA(a, b, c) ((logsig_vec)LOGSIG_SIMD(fmaq)((c), (a), (b)))
#define LOGSIG_FNMA(a, b, c) ((logsig_vec)LOGSIG_SIMD(fmsq)((c), (a), (b)))
#else
#define LOGSIG_FMA(a, b, c) ((a) * (b) + (c))
#define LOGSIG_FNMA(a, b, c) ((c) - (a) * (b))
#endif

#if LOGSIG_LANES == 16
#define LOGSIG_SET1(x) \
    ((logsig_vec){(x), (x), (x), (x), (x), (x), (x), (x), (x), (x), (x), (x), (x), (x), (x), (x)})
#elif LOGSIG_LANES == 8
#define LOGSIG_SET1(x) ((logsig_vec){(x), (x), (x), (x), (x), (x), (x), (x)})
#elif LOGSIG_LANES == 4
#define LOGSIG_SET1(x) ((logsig_vec){(x), (x), (x), (x)})
#elif LOGSIG_LANES == 2
#define LOGSIG_SET1(x) ((logsig_vec){(x), (x)})
#else
#define LOGSIG_SET1(x) ((logsig_vec)(x))
#endif

/* ---- memory ---------------------------------------------------------------------------------------------------- */

LOGSIG_INLINE logsig_vec logsig_load(const logsig_real *from)
{
#if LOGSIG_LANES == 1
    return *from;
#else
    return *(const logsig_loose_vec *)from;
#endif
}

LOGSIG_INLINE void logsig_store(logsig_real *to, logsig_vec value)
{
#if LOGSIG_LANES == 1
    *to = value;
#else
    *(logsig_loose_vec *)to = value;
#endif
}

/* Asks for a line, for the second-level cache: fewer lines at a time can be on their way to the first. */
#ifdef __GNUC__
#define LOGSIG_ASK_FOR(x) __builtin_prefetch((x), 0, 2)
#else
#define LOGSIG_ASK_FOR(x) ((void)(x))
#endif

/* logsig_part names elements first..last-1 of a vector, 0 <= first < last <= LANES. The address handed to
 * logsig_load_part and logsig_store_part is that of element 0, which need not exist. */
#if LOGSIG_AVX512
#if LOGSIG_REAL_BITS == 64
typedef unsigned char logsig_part;
#else
typedef unsigned short logsig_part;
#endif

LOGSIG_INLINE logsig_part logsig_part_of(int first, int last)
{
    return (logsig_part)((1u << last) - (1u << first));
}

#elif LOGSIG_AVX2
#if LOGSIG_REAL_BITS == 64
typedef long long logsig_part __attribute__((vector_size(32)));
#define LOGSIG_LANE_NUMBERS ((logsig_part){0, 1, 2, 3})
#else
typedef int logsig_part __attribute__((vector_size(32)));
#define LOGSIG_LANE_NUMBERS ((logsig_part){0, 1, 2, 3, 4, 5, 6, 7})
#endif

LOGSIG_INLINE logsig_part logsig_part_of(int first, int last)
{
    const logsig_part from = first - (logsig_part){0}, to = last - (logsig_part){0};
    return ~(from > LOGSIG_LANE_NUMBERS) & (to > LOGSIG_LANE_NUMBERS);
}

#else
typedef struct {
    int first, last;
} logsig_part;

LOGSIG_INLINE logsig_part logsig_part_of(int first, int last)
{
    const logsig_part part = {first, last};
    return part;
}
#endif

LOGSIG_INLINE logsig_vec logsig_load_part(const logsig_real *from, logsig_part part)
{
#if LOGSIG_BUILTINS && LOGSIG_AVX512
    return LOGSIG_SIMD(loadu)(from, LOGSIG_SET1(0), part);
#elif LOGSIG_BUILTINS
    return LOGSIG_SIMD(maskload)((const logsig_vec *)from, part);
#elif LOGSIG_AVX512
    return (logsig_vec)LOGSIG_SIMD(maskz_loadu)(part, from);
#elif LOGSIG_AVX2
    return (logsig_vec)LOGSIG_SIMD(maskload)(from, (__m256i)part);
#elif LOGSIG_LANES == 1
    (void)part;
    return *from;
#else
    logsig_vec value = LOGSIG_SET1(0);
    LOGSIG_UNROLL
    for (int i = 0; i < LOGSIG_LANES; i++)
        if (i >= part.first && i < part.last) value[i] = from[i];
    return value;
#endif
}

LOGSIG_INLINE void logsig_store_part(logsig_real *to, logsig_part part, logsig_vec value)
{
#if LOGSIG_BUILTINS && LOGSIG_AVX512
    LOGSIG_SIMD(storeu)(to, value, part);
#elif LOGSIG_BUILTINS
    LOGSIG_SIMD(maskstore)((logsig_vec *)to, part, value);
#elif LOGSIG_AVX512
    LOGSIG_SIMD(mask_storeu)(to, part, value);
#elif LOGSIG_AVX2
    LOGSIG_SIMD(maskstore)(to, (__m256i)part, value);
#elif LOGSIG_LANES == 1
    (void)part;
    *to = value;
#else
    LOGSIG_UNROLL
    for (int i = 0; i < LOGSIG_LANES; i++)
        if (i >= part.first && i < part.last) to[i] = value[i];
#endif
}

/* The first `count` numbers, all of them if there are more, none if there are none; the others are zero. */
LOGSIG_INLINE logsig_vec logsig_load_some(const logsig_real *from, int count)
{
    if (count >= LOGSIG_LANES) return logsig_load(from);
    if (count <= 0) return LOGSIG_SET1(0);
    return logsig_load_part(from, logsig_part_of(0, count));
}

/* ---- transposition --------------------------------------------------------------------------------------------- */

/* One step deals two vectors like cards: the even items of both make the first result, the odd items the second.
 * The items are numbers (within 16 bytes) for small distances and 16-byte quarters for large ones: those two shapes
 * are single instructions everywhere, the textbook butterfly is not. Dealing vectors 1, 2, 4, ... apart transposes. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define LOGSIG_SHUFFLE 1
#endif
#endif

#if LOGSIG_SHUFFLE && LOGSIG_LANES > 1
#define LOGSIG_DEAL(x, y, ITEMS) \
    do { \
        const __typeof__(x) even_ = __builtin_shufflevector((x), (y), LOGSIG_EVEN_##ITEMS); \
        (y) = __builtin_shufflevector((x), (y), LOGSIG_ODD_##ITEMS); \
        (x) = even_; \
    } while (0)

/* In vectors of 32 bytes. */
#if LOGSIG_REAL_BITS == 64
#define LOGSIG_EVEN_SHORT_NUMBERS 0, 4, 2, 6
#define LOGSIG_ODD_SHORT_NUMBERS 1, 5, 3, 7
#define LOGSIG_EVEN_SHORT_QUARTERS 0, 1, 4, 5
#define LOGSIG_ODD_SHORT_QUARTERS 2, 3, 6, 7
#else
#define LOGSIG_EVEN_SHORT_NUMBERS 0, 2, 8, 10, 4, 6, 12, 14
#define LOGSIG_ODD_SHORT_NUMBERS 1, 3, 9, 11, 5, 7, 13, 15
#define LOGSIG_EVEN_SHORT_QUARTERS 0, 1, 2, 3, 8, 9, 10, 11
#define LOGSIG_ODD_SHORT_QUARTERS 4, 5, 6, 7, 12, 13, 14, 15
#endif

#if LOGSIG_LANES == 16
#define LOGSIG_EVEN_NUMBERS 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30
#define LOGSIG_ODD_NUMBERS 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31
#define LOGSIG_EVEN_QUARTERS 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define LOGSIG_ODD_QUARTERS 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#elif LOGSIG_VECTOR_BYTES == 64
#define LOGSIG_EVEN_NUMBERS 0, 8, 2, 10, 4, 12, 6, 14
#define LOGSIG_ODD_NUMBERS 1, 9, 3, 11, 5, 13, 7, 15
#define LOGSIG_EVEN_QUARTERS 0, 1, 4, 5, 8, 9, 12, 13
#define LOGSIG_ODD_QUARTERS 2, 3, 6, 7, 10, 11, 14, 15
#elif LOGSIG_VECTOR_BYTES == 32
#define LOGSIG_EVEN_NUMBERS LOGSIG_EVEN_SHORT_NUMBERS
#define LOGSIG_ODD_NUMBERS LOGSIG_ODD_SHORT_NUMBERS
#define LOGSIG_EVEN_QUARTERS LOGSIG_EVEN_SHORT_QUARTERS
#define LOGSIG_ODD_QUARTERS LOGSIG_ODD_SHORT_QUARTERS
#elif LOGSIG_LANES == 4
#define LOGSIG_EVEN_NUMBERS 0, 2, 4, 6
#define LOGSIG_ODD_NUMBERS 1, 3, 5, 7
#else
#define LOGSIG_EVEN_NUMBERS 0, 2
#define LOGSIG_ODD_NUMBERS 1, 3
#endif

#define LOGSIG_DEAL_ALL(tile, lanes, apart, ITEMS) \
    do { \
        LOGSIG_UNROLL \
        for (int i_ = 0; i_ < (lanes); i_++) \
            if (!(i_ & (apart))) LOGSIG_DEAL((tile)[i_], (tile)[i_ + (apart)], ITEMS); \
    } while (0)
#endif

LOGSIG_INLINE void logsig_transpose(logsig_vec *tile)
{
#if LOGSIG_LANES == 1
    (void)tile;
#elif LOGSIG_SHUFFLE
    LOGSIG_DEAL_ALL(tile, LOGSIG_LANES, 1, NUMBERS);
#if LOGSIG_REAL_BITS == 32
    LOGSIG_DEAL_ALL(tile, LOGSIG_LANES, 2, NUMBERS);
#endif
#if LOGSIG_VECTOR_BYTES == 64
    LOGSIG_DEAL_ALL(tile, LOGSIG_LANES, LOGSIG_LANES / 4, QUARTERS);
#endif
#if LOGSIG_VECTOR_BYTES >= 32
    LOGSIG_DEAL_ALL(tile, LOGSIG_LANES, LOGSIG_LANES / 2, QUARTERS);
#endif
#else
    LOGSIG_UNROLL
    for (int i = 1; i < LOGSIG_LANES; i++) {
        LOGSIG_UNROLL
        for (int j = 0; j < i; j++) {
            const logsig_real swap = tile[i][j];
            tile[i][j] = tile[j][i];
            tile[j][i] = swap;
        }
    }
#endif
}

/* The same with the large distances first, which is better when only the first half or quarter of the result is used:
 * the compiler then drops what leads to the rest. (Steps of one shape must stay in order.) */
LOGSIG_INLINE void logsig_transpose_head(logsig_vec *tile)
{
#if LOGSIG_SHUFFLE && LOGSIG_VECTOR_BYTES >= 32
#if LOGSIG_VECTOR_BYTES == 64
    LOGSIG_DEAL_ALL(tile, LOGSIG_LANES, LOGSIG_LANES / 4, QUARTERS);
#endif
    LOGSIG_DEAL_ALL(tile, LOGSIG_LANES, LOGSIG_LANES / 2, QUARTERS);
    LOGSIG_DEAL_ALL(tile, LOGSIG_LANES, 1, NUMBERS);
#if LOGSIG_REAL_BITS == 32
    LOGSIG_DEAL_ALL(tile, LOGSIG_LANES, 2, NUMBERS);
#endif
#else
    logsig_transpose(tile);
#endif
}

#endif
