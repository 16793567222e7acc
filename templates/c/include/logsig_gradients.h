/* Gradients of whole paths: the last degree but one of the form that goes back along a path.
 *
 * The form m changes at a displacement v by coadjoint actions of v. Its last degree is the same all along, and the last
 * degree but one changes by
 *
 *     m_j -= sum over the letters i of v_i s_ij,
 *
 * where the slots s_ij are made of the last degree once. Over several steps that is a product of two matrices, which is
 * formed in tiles of ROWS numbers j by STEPS steps: a slot is loaded once for all the steps, a letter for all the numbers.
 * Each sum is taken by itself, letter by letter, and then added: it does not depend on the steps that go with it.
 */
#ifndef LOGSIG_GRADIENTS_H
#define LOGSIG_GRADIENTS_H

#include "logsig_paths.h"

/* A tile, that fits into the registers. */
#define LOGSIG_SLOT_STEPS 4
#if LOGSIG_AVX512 || LOGSIG_NEON
#define LOGSIG_SLOT_ROWS 4
#else
#define LOGSIG_SLOT_ROWS 2
#endif

/* Rows that a form has in turn: one before a group of steps, and one after each of them. */
#define LOGSIG_SLOT_RING (LOGSIG_SLOT_STEPS + 1)

LOGSIG_INLINE int logsig_slot_next(int row)
{
    return row + 1 < LOGSIG_SLOT_RING ? row + 1 : 0;
}

/* Numbers j ... j + rows - 1 after `steps` steps back, the displacement of the first of which is v; slots: those of j. */
LOGSIG_INLINE void logsig_slot_tile(const logsig_vec *slots, const logsig_vec *v, int dimension, int rows, int steps,
                                    const logsig_vec *from, logsig_vec *const *to, int j)
{
    logsig_vec sums[LOGSIG_SLOT_ROWS * LOGSIG_SLOT_STEPS];
    LOGSIG_UNROLL
    for (int k = 0; k < rows * steps; k++) sums[k] = LOGSIG_SET1(0);
    for (int i = 0; i < dimension; i++) {
        logsig_vec letters[LOGSIG_SLOT_STEPS];
        LOGSIG_UNROLL
        for (int s = 0; s < steps; s++) {
            letters[s] = v[i - s * dimension];
            LOGSIG_KEEP(letters[s]); /* or the compiler would load it again for each number */
        }
        LOGSIG_UNROLL
        for (int r = 0; r < rows; r++) {
            logsig_vec slot = slots[r * dimension + i];
            LOGSIG_KEEP(slot);
            LOGSIG_UNROLL
            for (int s = 0; s < steps; s++) sums[r * steps + s] = LOGSIG_FMA(letters[s], slot, sums[r * steps + s]);
        }
    }
    LOGSIG_UNROLL
    for (int r = 0; r < rows; r++) {
        logsig_vec form = from[j + r];
        LOGSIG_UNROLL
        for (int s = 0; s < steps; s++) to[s][j + r] = form = LOGSIG_SUB(form, sums[r * steps + s]);
    }
}

LOGSIG_INLINE void logsig_slot_tiles(const logsig_vec *slots, const logsig_vec *v, int dimension, int size, int steps,
                                     const logsig_vec *from, logsig_vec *const *to)
{
    int j = 0;
    for (; j + LOGSIG_SLOT_ROWS <= size; j += LOGSIG_SLOT_ROWS)
        logsig_slot_tile(slots + j * dimension, v, dimension, LOGSIG_SLOT_ROWS, steps, from, to, j);
    for (; j < size; j++) logsig_slot_tile(slots + j * dimension, v, dimension, 1, steps, from, to, j);
}

/* Takes `size` numbers of a form from row `row` of the ring back over the displacement v and those before it, at most
 * `count` of them; the rows that follow in the ring are those after each of them. Returns how many. */
LOGSIG_INLINE int logsig_slots_back(const logsig_vec *slots, const logsig_vec *v, int dimension, int size,
                                    logsig_vec *ring, int row, ptrdiff_t count)
{
    logsig_vec *to[LOGSIG_SLOT_STEPS];
    const logsig_vec *const from = ring + row * size;
    LOGSIG_UNROLL
    for (int s = 0; s < LOGSIG_SLOT_STEPS; s++) {
        row = logsig_slot_next(row);
        to[s] = ring + row * size;
    }
    if (count >= LOGSIG_SLOT_STEPS) {
        logsig_slot_tiles(slots, v, dimension, size, LOGSIG_SLOT_STEPS, from, to);
        return LOGSIG_SLOT_STEPS;
    }
    logsig_slot_tiles(slots, v, dimension, size, 1, from, to);
    return 1;
}

#endif
