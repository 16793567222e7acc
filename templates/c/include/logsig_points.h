/* Points from rows to lanes and back: displacements on the way in, derivatives on the way out.
 *
 * A path has its points one after the other, a few numbers each, so that a tile of LANES paths holds several points or a part
 * of one. Tiles are transposed in vectors of 32 bytes, also where the processor has longer ones: most of a tile's time
 * goes to shuffles, and there are twice as many of the short ones in a cycle. Where there are few letters each number is read
 * once: displacements are differences of the columns of neighbouring points, which stay in registers. The file that
 * includes this one may define LOGSIG_LETTERS, the dimension.
 */
#ifndef LOGSIG_POINTS_H
#define LOGSIG_POINTS_H

#include "logsig_simd.h"

/* The paths of a block. */
typedef struct {
    const logsig_real *lane[LOGSIG_LANES];
    ptrdiff_t points[LOGSIG_LANES];
    ptrdiff_t longest, shortest; /* points of the longest and of the shortest one */
    ptrdiff_t ahead;             /* how far ahead to ask for lines, in numbers; 0: not at all */
} logsig_walk;

/* ---- tiles ----------------------------------------------------------------------------------------------------- */

#if LOGSIG_SHUFFLE && LOGSIG_VECTOR_BYTES == 64
#define LOGSIG_SHORT_LANES (LOGSIG_LANES / 2)
typedef logsig_real logsig_short_vec __attribute__((vector_size(32), may_alias));
typedef logsig_real logsig_loose_short_vec __attribute__((vector_size(32), aligned(LOGSIG_REAL_BITS / 8), may_alias));

LOGSIG_INLINE void logsig_transpose_short(logsig_short_vec *tile)
{
    LOGSIG_DEAL_ALL(tile, LOGSIG_SHORT_LANES, 1, SHORT_NUMBERS);
#if LOGSIG_REAL_BITS == 32
    LOGSIG_DEAL_ALL(tile, LOGSIG_SHORT_LANES, 2, SHORT_NUMBERS);
#endif
    LOGSIG_DEAL_ALL(tile, LOGSIG_SHORT_LANES, LOGSIG_SHORT_LANES / 2, SHORT_QUARTERS);
}
#else
#define LOGSIG_SHORT_LANES LOGSIG_LANES
typedef logsig_vec logsig_short_vec;
#if LOGSIG_LANES > 1
typedef logsig_loose_vec logsig_loose_short_vec;
#else
typedef logsig_vec logsig_loose_short_vec;
#endif
#define logsig_transpose_short logsig_transpose
#endif

/* From column `from` on of so many lanes, the first of which is given. */
LOGSIG_INLINE void logsig_load_columns(const logsig_real *const *lane, ptrdiff_t from, logsig_short_vec *tile)
{
    LOGSIG_UNROLL
    for (int i = 0; i < LOGSIG_SHORT_LANES; i++) tile[i] = *(const logsig_loose_short_vec *)(lane[i] + from);
    logsig_transpose_short(tile);
}

/* Asks for their lines. */
LOGSIG_INLINE void logsig_ask_for_columns(const logsig_real *const *lane, ptrdiff_t from)
{
    LOGSIG_UNROLL
    for (int i = 0; i < LOGSIG_SHORT_LANES; i++) LOGSIG_ASK_FOR(lane[i] + from);
}

/* Lanes `lane` and those that follow it of a vector. */
LOGSIG_INLINE logsig_short_vec *logsig_lanes_of(logsig_vec *x, int lane)
{
    return (logsig_short_vec *)((logsig_real *)x + lane);
}

/* ---- displacements --------------------------------------------------------------------------------------------- */

#if defined(LOGSIG_LETTERS) && LOGSIG_LANES > 1
/* As many as their columns fit into the registers. */
#if LOGSIG_LETTERS <= (LOGSIG_AVX512 || LOGSIG_NEON ? 16 : 8)
#define LOGSIG_FEW_LETTERS 1
/* Columns that are kept from tile to tile: of so many tiles as hold a point. */
#define LOGSIG_KEPT ((LOGSIG_LETTERS - 1) / LOGSIG_SHORT_LANES * LOGSIG_SHORT_LANES + LOGSIG_SHORT_LANES)

/* Displacements of a few lanes from the numbers from column `from` on, of which there are `columns`; ahead: whether lines are
 * asked for. Returns how many columns of displacements it could make from whole tiles. */
LOGSIG_INLINE ptrdiff_t logsig_subtract_columns(const logsig_walk *walk, int lane, ptrdiff_t from, ptrdiff_t columns,
                                                logsig_vec *to, const int ahead)
{
    enum { letters = LOGSIG_LETTERS, kept = LOGSIG_KEPT };
    const logsig_real *at[LOGSIG_SHORT_LANES];
    logsig_short_vec x[kept + LOGSIG_SHORT_LANES];
    ptrdiff_t c = kept;
    if (columns < kept) return 0;
    LOGSIG_UNROLL
    for (int i = 0; i < LOGSIG_SHORT_LANES; i++) at[i] = walk->lane[lane + i] + from;
    LOGSIG_UNROLL
    for (int k = 0; k < kept; k += LOGSIG_SHORT_LANES) {
        if (ahead && k % LOGSIG_LANES == 0) logsig_ask_for_columns(at, k + walk->ahead);
        logsig_load_columns(at, k, x + k);
    }
    LOGSIG_UNROLL
    for (int k = letters; k < kept; k++) *logsig_lanes_of(to + k - letters, lane) = LOGSIG_SUB(x[k], x[k - letters]);
    for (; c + LOGSIG_SHORT_LANES <= columns; c += LOGSIG_SHORT_LANES) {
        logsig_vec *const out = to + c - letters;
        if (ahead && c % LOGSIG_LANES == 0) logsig_ask_for_columns(at, c + walk->ahead);
        logsig_load_columns(at, c, x + kept);
        LOGSIG_UNROLL
        for (int k = 0; k < LOGSIG_SHORT_LANES; k++)
            *logsig_lanes_of(out + k, lane) = LOGSIG_SUB(x[kept + k], x[kept + k - letters]);
        LOGSIG_UNROLL
        for (int k = 0; k < kept; k++) x[k] = x[k + LOGSIG_SHORT_LANES];
    }
    return c - letters;
}
#endif
#endif

/* Displacements first ... first + count - 1 of every lane: the differences of neighbouring points, where there are many letters
 * taken before the tile is transposed. Beyond its end a lane stands still. May fill up to LANES vectors beyond. */
LOGSIG_NOINLINE void logsig_load_displacements(const logsig_walk *walk, int dimension, ptrdiff_t first, ptrdiff_t count,
                                               logsig_vec *to)
{
    const ptrdiff_t columns = count * dimension, from = first * dimension;
    if (first + count < walk->shortest) {
        ptrdiff_t c = 0;
#if LOGSIG_FEW_LETTERS
        /* Numbers of a later point may fill the last tile. */
        const ptrdiff_t tiles = (columns + dimension - 1) / LOGSIG_SHORT_LANES * LOGSIG_SHORT_LANES + LOGSIG_SHORT_LANES;
        const ptrdiff_t there = walk->shortest * dimension - from, read = tiles < there ? tiles : there;
        for (int lane = 0; lane < LOGSIG_LANES; lane += LOGSIG_SHORT_LANES)
            c = walk->ahead ? logsig_subtract_columns(walk, lane, from, read, to, 1)
                            : logsig_subtract_columns(walk, lane, from, read, to, 0);
#endif
        for (; c < columns; c += LOGSIG_LANES) {
            logsig_vec tile[LOGSIG_LANES];
            if (walk->ahead) {
                LOGSIG_UNROLL
                for (int i = 0; i < LOGSIG_LANES; i++) LOGSIG_ASK_FOR(walk->lane[i] + from + c + walk->ahead);
            }
            if (LOGSIG_LIKELY(c + LOGSIG_LANES <= columns)) {
                LOGSIG_UNROLL
                for (int i = 0; i < LOGSIG_LANES; i++) {
                    const logsig_real *const x = walk->lane[i] + from + c;
                    tile[i] = LOGSIG_SUB(logsig_load(x + dimension), logsig_load(x));
                }
            } else {
                const logsig_part part = logsig_part_of(0, (int)(columns - c));
                LOGSIG_UNROLL
                for (int i = 0; i < LOGSIG_LANES; i++) {
                    const logsig_real *const x = walk->lane[i] + from + c;
                    tile[i] = LOGSIG_SUB(logsig_load_part(x + dimension, part), logsig_load_part(x, part));
                }
            }
            logsig_transpose(tile);
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) to[c + i] = tile[i];
        }
        return;
    }
    for (int i = 0; i < LOGSIG_LANES; i++) {
        logsig_real *const lane = (logsig_real *)to + i;
        for (ptrdiff_t t = 0; t < count; t++) {
            const logsig_real *const x = walk->lane[i] + (first + t) * dimension;
            for (int k = 0; k < dimension; k++)
                lane[(t * dimension + k) * LOGSIG_LANES] = first + t + 1 < walk->points[i] ? x[k + dimension] - x[k] : 0;
        }
    }
}

/* The reverse; what lies beyond the end of a lane is dropped. */
LOGSIG_NOINLINE void logsig_store_points(const logsig_walk *walk, int dimension, ptrdiff_t first, ptrdiff_t count,
                                         const logsig_vec *from)
{
    const ptrdiff_t columns = count * dimension, to = first * dimension;
    if (first + count <= walk->shortest) {
        for (ptrdiff_t c = 0; c < columns; c += LOGSIG_LANES) {
            logsig_vec tile[LOGSIG_LANES];
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = from[c + i];
            logsig_transpose(tile);
            if (LOGSIG_LIKELY(c + LOGSIG_LANES <= columns)) {
                LOGSIG_UNROLL
                for (int i = 0; i < LOGSIG_LANES; i++) logsig_store((logsig_real *)walk->lane[i] + to + c, tile[i]);
            } else {
                const logsig_part part = logsig_part_of(0, (int)(columns - c));
                LOGSIG_UNROLL
                for (int i = 0; i < LOGSIG_LANES; i++)
                    logsig_store_part((logsig_real *)walk->lane[i] + to + c, part, tile[i]);
            }
        }
        return;
    }
    for (int i = 0; i < LOGSIG_LANES; i++) {
        const logsig_real *const lane = (const logsig_real *)from + i;
        for (ptrdiff_t t = 0; t < count && first + t < walk->points[i]; t++)
            for (int k = 0; k < dimension; k++)
                ((logsig_real *)walk->lane[i])[(first + t) * dimension + k] = lane[(t * dimension + k) * LOGSIG_LANES];
    }
}

#endif
