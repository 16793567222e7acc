/* Rows of degree two with many letters: loops, one letter per lane.
 *
 * A row has a number for each letter, and then one for each word ij, i < j, those of letter i one after the other in j.
 * So a product of two rows runs through memory in order, and nothing is transposed:
 *
 *     [a, b]_ij = a_i b_j - a_j b_i
 *
 * with a_i and b_i in all lanes and a vector of letters j. A derivative is a product of the antisymmetric matrix F of the
 * derivatives by words with a vector of letters; each tile of F is read once, and serves on both sides of the diagonal.
 * Every sum is formed in the order of its letters, so that a number depends on its own row only, and not on the number of
 * lanes. The file that includes this one defines LOGSIG_LETTERS, the dimension; what it computes of a row is generated.
 */
#ifndef LOGSIG_LETTERS_H
#define LOGSIG_LETTERS_H

#include <string.h>

#include "logsig_rows.h"

/* Vectors that hold letters; their room, with zeros at the end, so that a vector may be read from any letter on. */
#define LOGSIG_LETTERS_VECTORS ((LOGSIG_LETTERS - 1) / LOGSIG_LANES + 1)
#define LOGSIG_LETTERS_LENGTH (LOGSIG_LETTERS_VECTORS + 1)

/* Numbers of a line of the cache. */
#define LOGSIG_LINE (64 / (LOGSIG_REAL_BITS / 8))

/* Numbers of a row. */
#define LOGSIG_LETTERS_SIZE ((ptrdiff_t)LOGSIG_LETTERS * (LOGSIG_LETTERS + 1) / 2)

/* Vector c of a row of letters; beyond the last letter there are zeros, and nothing is read. */
LOGSIG_INLINE logsig_vec logsig_load_letters(const logsig_real *row, int c)
{
    return logsig_load_some(row + c * LOGSIG_LANES, LOGSIG_LETTERS - c * LOGSIG_LANES);
}

LOGSIG_INLINE void logsig_store_letters(logsig_real *row, int c, logsig_vec value)
{
    const int left = LOGSIG_LETTERS - c * LOGSIG_LANES;
    if (left >= LOGSIG_LANES)
        logsig_store(row + c * LOGSIG_LANES, value);
    else
        logsig_store_part(row + c * LOGSIG_LANES, logsig_part_of(0, left), value);
}

/* The words of letter i begin with i, i + 1. */
LOGSIG_INLINE ptrdiff_t logsig_words_of(ptrdiff_t i)
{
    return LOGSIG_LETTERS + i * (2 * LOGSIG_LETTERS - i - 1) / 2;
}

/* ---- letters --------------------------------------------------------------------------------------------------- */

LOGSIG_INLINE void logsig_read_letters(const logsig_real *row, logsig_vec *letters)
{
    for (int c = 0; c < LOGSIG_LETTERS_VECTORS; c++) letters[c] = logsig_load_letters(row, c);
    letters[LOGSIG_LETTERS_VECTORS] = LOGSIG_SET1(0);
}

LOGSIG_INLINE void logsig_write_letters(logsig_real *row, const logsig_vec *letters)
{
    for (int c = 0; c < LOGSIG_LETTERS_VECTORS; c++) logsig_store_letters(row, c, letters[c]);
}

/* ---- words ----------------------------------------------------------------------------------------------------- */

/* The term [left, right], or with the other sign. */
typedef struct {
    const logsig_vec *left, *right;
    int minus;
} logsig_letters_bracket;

/* The most brackets of a sum. */
#define LOGSIG_MOST_BRACKETS 2

/* The words of letter i, which begin at `word`; within: whether whole vectors of them stay within the row. */
LOGSIG_INLINE void logsig_write_words_of(logsig_real *out, const logsig_real *const *given, const int n_given,
                                         const logsig_letters_bracket *brackets, const int n_brackets, int i,
                                         ptrdiff_t word, const int within)
{
    logsig_vec a[LOGSIG_MOST_BRACKETS], b[LOGSIG_MOST_BRACKETS];
    LOGSIG_UNROLL
    for (int k = 0; k < n_brackets; k++) {
        a[k] = LOGSIG_SET1(((const logsig_real *)brackets[k].left)[i]);
        b[k] = LOGSIG_SET1(((const logsig_real *)brackets[k].right)[i]);
        LOGSIG_KEEP(a[k]);
        LOGSIG_KEEP(b[k]);
    }
    for (int j = i + 1; j < LOGSIG_LETTERS; j += LOGSIG_LANES, word += LOGSIG_LANES) {
        const int left = within ? LOGSIG_LANES : (int)(LOGSIG_LETTERS_SIZE - word);
        logsig_vec sum = n_given ? logsig_load_some(given[0] + word, left) : LOGSIG_SET1(0);
        LOGSIG_UNROLL
        for (int k = 1; k < n_given; k++) sum = LOGSIG_ADD(sum, logsig_load_some(given[k] + word, left));
        LOGSIG_UNROLL
        for (int k = 0; k < n_brackets; k++) {
            const logsig_vec aj = logsig_load((const logsig_real *)brackets[k].left + j);
            const logsig_vec bj = logsig_load((const logsig_real *)brackets[k].right + j);
            sum = brackets[k].minus ? LOGSIG_FMA(aj, b[k], LOGSIG_FNMA(a[k], bj, sum))
                                    : LOGSIG_FNMA(aj, b[k], LOGSIG_FMA(a[k], bj, sum));
        }
        if (within || left >= LOGSIG_LANES)
            logsig_store(out + word, sum);
        else
            logsig_store_part(out + word, logsig_part_of(0, left), sum);
    }
}

/* The words of a row: those of rows `given` and brackets, in this order. The last vector of a letter's words may go on
 * into those of the next letters, which are written later; so `out` is none of the rows that are given. */
LOGSIG_INLINE void logsig_write_words(logsig_real *out, const logsig_real *const *given, const int n_given,
                                      const logsig_letters_bracket *brackets, const int n_brackets)
{
    ptrdiff_t word = LOGSIG_LETTERS;
    int i = 0;
    for (; word + LOGSIG_LETTERS - 1 - i + LOGSIG_LANES <= LOGSIG_LETTERS_SIZE; word += LOGSIG_LETTERS - ++i)
        logsig_write_words_of(out, given, n_given, brackets, n_brackets, i, word, 1);
    for (; i < LOGSIG_LETTERS - 1; word += LOGSIG_LETTERS - ++i)
        logsig_write_words_of(out, given, n_given, brackets, n_brackets, i, word, 0);
}

/* The last vector ends with the row. (There are more words than lanes.) */
LOGSIG_INLINE void logsig_copy_words(logsig_real *out, const logsig_real *given)
{
    const ptrdiff_t last = LOGSIG_LETTERS_SIZE - LOGSIG_LANES;
    ptrdiff_t k = LOGSIG_LETTERS;
    if (out == given) return;
    for (; k < last; k += LOGSIG_LANES) logsig_store(out + k, logsig_load(given + k));
    logsig_store(out + last, logsig_load(given + last));
}

LOGSIG_INLINE void logsig_clear_words(logsig_real *out)
{
    memset(out + LOGSIG_LETTERS, 0, (size_t)(LOGSIG_LETTERS_SIZE - LOGSIG_LETTERS) * sizeof(logsig_real));
}

/* ---- coadjoint actions ----------------------------------------------------------------------------------------- */

/* sum_k += sum over the letters i of actor_i F_ik, or, minus, the same taken away. */
typedef struct {
    const logsig_vec *actor;
    logsig_vec *sum;
    int minus;
} logsig_letters_action;

/* The most actions that read the same form together. */
#define LOGSIG_MOST_ACTIONS 2

/* A sum, and what the letters of a block act on the letters of another one, row by row of the tile. */
LOGSIG_INLINE logsig_vec logsig_act_by_tile(const logsig_vec *actor, const logsig_vec *tile, logsig_vec sum, const int minus)
{
    LOGSIG_UNROLL
    for (int r = 0; r < LOGSIG_LANES; r++) {
        const logsig_vec x = LOGSIG_SET1(((const logsig_real *)actor)[r]);
        sum = minus ? LOGSIG_FNMA(x, tile[r], sum) : LOGSIG_FMA(x, tile[r], sum);
    }
    return sum;
}

/* Zero in lane r, a constant. */
LOGSIG_INLINE logsig_vec logsig_without(logsig_vec x, const int r)
{
#if LOGSIG_LANES > 1
    logsig_vec ones = LOGSIG_SET1(1);
    ones[r] = 0;
    const __typeof__(x == x) kept = ones != LOGSIG_SET1(0);
    return (logsig_vec)((__typeof__(x == x))x & kept);
#else
    (void)x, (void)r;
    return 0;
#endif
}

/* Letters of block b among themselves. No letter acts on itself, whatever number it has. */
LOGSIG_INLINE void logsig_act_within(const logsig_real *form, int b, const logsig_letters_action *actions,
                                     const int n_actions, logsig_vec *sums)
{
    const int left = LOGSIG_LETTERS - b * LOGSIG_LANES, end = left < LOGSIG_LANES ? left : LOGSIG_LANES;
    logsig_vec above[LOGSIG_LANES], below[LOGSIG_LANES];
    LOGSIG_UNROLL
    for (int r = 0; r < LOGSIG_LANES; r++) {
        above[r] = LOGSIG_SET1(0);
        if (r + 1 < end)
            above[r] = logsig_load_part(form + logsig_words_of(b * LOGSIG_LANES + r) - r - 1, logsig_part_of(r + 1, end));
        below[r] = above[r];
    }
    logsig_transpose(below);
    LOGSIG_UNROLL
    for (int r = 0; r < LOGSIG_LANES; r++) {
        const logsig_vec f = LOGSIG_SUB(above[r], below[r]);
        LOGSIG_UNROLL
        for (int k = 0; k < n_actions; k++) {
            const logsig_vec x = logsig_without(LOGSIG_SET1(((const logsig_real *)(actions[k].actor + b))[r]), r);
            sums[k] = actions[k].minus ? LOGSIG_FNMA(x, f, sums[k]) : LOGSIG_FMA(x, f, sums[k]);
        }
    }
}

/* All sums; form: a row, of which the words are read. */
LOGSIG_INLINE void logsig_act(const logsig_real *form, const logsig_letters_action *actions, const int n_actions)
{
    for (int b = 0; b < LOGSIG_LETTERS_VECTORS; b++) {
        logsig_vec sums[LOGSIG_MOST_ACTIONS];
        LOGSIG_UNROLL
        for (int k = 0; k < n_actions; k++) sums[k] = actions[k].sum[b];
        logsig_act_within(form, b, actions, n_actions, sums);
        for (int c = b + 1; c < LOGSIG_LETTERS_VECTORS; c++) {
            const int left = LOGSIG_LETTERS - c * LOGSIG_LANES;
            const logsig_real *row = form + logsig_words_of(b * LOGSIG_LANES) + (c - b) * LOGSIG_LANES - 1;
            ptrdiff_t next = LOGSIG_LETTERS - b * LOGSIG_LANES - 2;
            logsig_vec tile[LOGSIG_LANES];
            LOGSIG_UNROLL
            for (int r = 0; r < LOGSIG_LANES; r++, row += next--) tile[r] = logsig_load_some(row, left);
            LOGSIG_UNROLL
            for (int k = 0; k < n_actions; k++) {
                logsig_vec *const sum = actions[k].sum + c;
                *sum = logsig_act_by_tile(actions[k].actor + b, tile, *sum, actions[k].minus);
            }
            logsig_transpose(tile);
            LOGSIG_UNROLL
            for (int k = 0; k < n_actions; k++)
                sums[k] = logsig_act_by_tile(actions[k].actor + c, tile, sums[k], !actions[k].minus);
        }
        LOGSIG_UNROLL
        for (int k = 0; k < n_actions; k++) actions[k].sum[b] = sums[k];
    }
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* What is computed of a row: its operands, inputs first. */
typedef void (*logsig_letters_fn)(logsig_real *const *rows, logsig_vec *frame);

typedef struct {
    const logsig_operand *operands;
    int n_operands;
    logsig_letters_fn run;
    int far; /* whether to ask for the letters of the next row, of which the words may not be read */
} logsig_letters_job;

LOGSIG_NOINLINE void logsig_walk_rows(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_letters_job *const job = given;
    for (; row < end; row++) {
        logsig_real *rows[LOGSIG_MAX_OPERANDS];
        for (int k = 0; k < job->n_operands; k++)
            rows[k] = (logsig_real *)job->operands[k].data + row * job->operands[k].stride;
        for (int k = 0; job->far && row + 1 < end && k < job->n_operands; k++)
            for (int i = 0; i < LOGSIG_LETTERS; i += LOGSIG_LINE) LOGSIG_ASK_FOR(rows[k] + job->operands[k].stride + i);
        job->run(rows, frame);
    }
}

#endif
