/* A path alone: one letter per lane, where a block of paths would leave most lanes without a path of their own.
 *
 * The state is the signature on prefixes of Lyndon words, and results are those of the generated steps, bit for bit: every
 * number is the same sum of the same products in the same order. The words that follow a prefix p are p i for all letters
 * i >= first[p]; they are a row of vectors, which ends with the last letter. In front of first[p] lanes hold what nobody
 * reads. With v_m = v / m, a step adds to these words
 *
 *     S_pi += h_p v_i         and, where pi is a prefix of words of n letters, of which it is k,
 *     h(n)_pi = S_pi + h(n)_p v_(n - k + 1)i    with S_pi from before the step;    h_p is h(k)_p .
 *
 * Length by length, from 1 to the degree, all that some steps do to the words of one length is done at once: then S stays
 * in registers, and the last length, which has most words, is a product of matrices.
 *
 * The file that includes this one defines
 *
 *   LOGSIG_LETTERS, LOGSIG_DEGREE
 *   LOGSIG_PREFIXES                  prefixes that words follow, the empty one among them
 *   LOGSIG_CHAINS                    rows of values h in a step
 *   word_counts[]                    words of 1, 2, ... letters
 *   first_letters[]                  first[p] of the prefixes of 1, 2, ... letters, in the order of the state
 *   row_counts[]                     of the longest prefixes: how many of them have which first letter
 *   last_rows[]                      these prefixes by first letter: number in the state, and that of its first word
 */
#ifndef LOGSIG_ALONE_H
#define LOGSIG_ALONE_H

#include "logsig_paths.h"

#define LOGSIG_LEAST(a, b) ((a) < (b) ? (a) : (b))
#define LOGSIG_MOST(a, b) ((a) > (b) ? (a) : (b))

/* Steps that are done at once. */
#ifndef LOGSIG_ALONE_STEPS
#define LOGSIG_ALONE_STEPS 8
#endif

/* Blocks of at most so many paths are walked path by path: as many as take less time than a whole block does. With one lane
 * a block is a path. */
#ifndef LOGSIG_ALONE_MOST
#define LOGSIG_ALONE_MOST \
    (LOGSIG_LANES == 1 ? 0 : LOGSIG_MOST(1, LOGSIG_LEAST(LOGSIG_LETTERS, LOGSIG_LANES) * 2 / 5))
#endif

/* A tile of sums, that fits into the registers: rows where there are several vectors in each, and where there is one. */
#define LOGSIG_ALONE_ROWS 4
#if LOGSIG_AVX512 || LOGSIG_NEON
#define LOGSIG_ALONE_VECTORS 3
#else
#define LOGSIG_ALONE_VECTORS 2
#endif
#define LOGSIG_ALONE_SINGLE 8

/* Vectors of all letters, the numbers in them, and the lanes in front of the first letter. */
#define LOGSIG_ALL ((LOGSIG_LETTERS - 1) / LOGSIG_LANES + 1)
#define LOGSIG_ROW (LOGSIG_ALL * LOGSIG_LANES)
#define LOGSIG_SPARE (LOGSIG_ROW - LOGSIG_LETTERS)
/* The first vector of the row of words that begin with letter `first`, and the vectors of that row. */
#define LOGSIG_BEGIN(first) ((LOGSIG_SPARE + (first)) / LOGSIG_LANES)
#define LOGSIG_WIDTH(first) (LOGSIG_ALL - LOGSIG_BEGIN(first))
/* From v_m to v_(m + 1). */
#define LOGSIG_NEXT_QUOTIENT (LOGSIG_ALONE_STEPS * LOGSIG_ROW)

/* Vectors of a frame: displacements and their quotients, the state, the values h, and where in its row a prefix
 * has them. */
#define LOGSIG_ALONE_DISPLACEMENTS ((LOGSIG_DEGREE - 1) * LOGSIG_ALONE_STEPS * LOGSIG_ALL)
#define LOGSIG_ALONE_STATE (LOGSIG_PREFIXES * LOGSIG_ALL)
#define LOGSIG_ALONE_CHAINS (LOGSIG_ALONE_STEPS * LOGSIG_CHAINS * LOGSIG_ALL)
#define LOGSIG_ALONE_PLACES ((int)(LOGSIG_PREFIXES * sizeof(int) / sizeof(logsig_vec)) + 1)
#define LOGSIG_ALONE_ROOM \
    (LOGSIG_ALONE_DISPLACEMENTS + LOGSIG_ALONE_STATE + LOGSIG_ALONE_CHAINS + LOGSIG_ALONE_PLACES)

/* Values of words of one length: of every quotient, and for each of the steps, rows of vectors. */
typedef struct {
    logsig_real *data;
    int step; /* numbers from one step to the next */
} logsig_values;

/* The values `number` of step t. */
LOGSIG_INLINE logsig_real *logsig_values_at(const logsig_values *all, int number, ptrdiff_t t)
{
    return all->data + (number * LOGSIG_ALONE_STEPS + t) * all->step;
}

/* v_1, v_2, ... of so many steps from the point x on. */
LOGSIG_INLINE void logsig_load_letters_of(const logsig_real *x, ptrdiff_t steps, logsig_real *v)
{
    const logsig_part some = logsig_part_of(LOGSIG_SPARE, LOGSIG_LANES);
    x -= LOGSIG_SPARE;
    for (ptrdiff_t t = 0; t < steps; t++, x += LOGSIG_LETTERS, v += LOGSIG_ROW)
        for (int c = 0; c < LOGSIG_ROW; c += LOGSIG_LANES) {
            const logsig_real *const from = x + c, *const to = from + LOGSIG_LETTERS;
            const logsig_vec step = LOGSIG_SPARE && !c
                                        ? LOGSIG_SUB(logsig_load_part(to, some), logsig_load_part(from, some))
                                        : LOGSIG_SUB(logsig_load(to), logsig_load(from));
            logsig_store(v + c, step);
            LOGSIG_UNROLL
            for (int m = 2; m < LOGSIG_DEGREE; m++)
                logsig_store(v + (m - 1) * LOGSIG_NEXT_QUOTIENT + c,
                             LOGSIG_MUL(LOGSIG_SET1((logsig_real)1 / m), step));
        }
}

/* The letters: S, and h(n) for n from 2 on. */
LOGSIG_INLINE void logsig_add_letters(const logsig_real *v, ptrdiff_t steps, logsig_real *s, const logsig_values *h)
{
    for (int c = 0; c < LOGSIG_ROW; c += LOGSIG_LANES) {
        logsig_vec sum = logsig_load(s + c);
        for (ptrdiff_t t = 0; t < steps; t++) {
            const logsig_real *const at = v + t * LOGSIG_ROW + c;
            const logsig_vec step = logsig_load(at);
            LOGSIG_UNROLL
            for (int n = 2; n < LOGSIG_DEGREE; n++)
                logsig_store(logsig_values_at(h, n - 2, t) + c,
                             LOGSIG_ADD(sum, logsig_load(at + (n - 1) * LOGSIG_NEXT_QUOTIENT)));
            logsig_store(logsig_values_at(h, LOGSIG_DEGREE - 2, t) + c,
                         LOGSIG_FMA(LOGSIG_SET1((logsig_real)1 / LOGSIG_DEGREE), step, sum));
            sum = LOGSIG_ADD(sum, step);
        }
        logsig_store(s + c, sum);
    }
}

/* A row of words of k letters, fewer than the degree, that follow a prefix; the values of that are `place` numbers from the
 * beginning of its row, those of the words begin `to` numbers from theirs. */
LOGSIG_INLINE void logsig_add_row(const int k, int begin, const logsig_real *v, ptrdiff_t steps,
                                  const logsig_values *before, int place, logsig_real *s, const logsig_values *h, int to)
{
    for (int c = begin * LOGSIG_LANES; c < LOGSIG_ROW; c += LOGSIG_LANES, s += LOGSIG_LANES, to += LOGSIG_LANES) {
        logsig_vec sum = logsig_load(s);
        for (ptrdiff_t t = 0; t < steps; t++) {
            const logsig_real *const at = v + t * LOGSIG_ROW + c;
            LOGSIG_UNROLL
            for (int m = 2; m <= LOGSIG_DEGREE - k + 1; m++) {
                const logsig_vec factor = LOGSIG_SET1(logsig_values_at(before, m - 1, t)[place]);
                logsig_store(logsig_values_at(h, m - 2, t) + to,
                             LOGSIG_FMA(logsig_load(at + (m - 1) * LOGSIG_NEXT_QUOTIENT), factor, sum));
            }
            sum = LOGSIG_FMA(logsig_load(at), LOGSIG_SET1(logsig_values_at(before, 0, t)[place]), sum);
        }
        logsig_store(s, sum);
    }
}

/* Words of k letters, fewer than the degree, after prefixes at `place` and with first letters `first`. Returns the end of
 * their state. */
LOGSIG_INLINE logsig_real *logsig_add_words(const int k, const unsigned char *first, const int *place,
                                            const logsig_real *v, ptrdiff_t steps, const logsig_values *before,
                                            logsig_real *s, const logsig_values *h)
{
    int to = 0;
    for (int p = 0; p < word_counts[k - 2]; p++) {
        logsig_add_row(k, LOGSIG_BEGIN(first[p]), v, steps, before, place[p], s + to, h, to);
        to += LOGSIG_WIDTH(first[p]) * LOGSIG_LANES;
    }
    return s + to;
}

/* Words of as many letters as the degree that follow `rows` prefixes: `vectors` vectors of each, in rows `width` vectors
 * long. */
LOGSIG_INLINE void logsig_add_tile(const unsigned short (*row)[2], const int *place, const int rows, const int vectors,
                                   int width, const logsig_real *v, ptrdiff_t steps, const logsig_values *before,
                                   logsig_real *s)
{
    logsig_vec sum[LOGSIG_ALONE_SINGLE][LOGSIG_ALONE_VECTORS];
    const logsig_real *from[LOGSIG_ALONE_SINGLE];
    LOGSIG_UNROLL
    for (int r = 0; r < rows; r++) {
        from[r] = before->data + place[row[r][0]];
        LOGSIG_UNROLL
        for (int q = 0; q < vectors; q++) sum[r][q] = logsig_load(s + (r * width + q) * LOGSIG_LANES);
    }
    for (ptrdiff_t t = 0; t < steps; t++) {
        logsig_vec step[LOGSIG_ALONE_VECTORS];
        LOGSIG_UNROLL
        for (int q = 0; q < vectors; q++) {
            step[q] = logsig_load(v + t * LOGSIG_ROW + q * LOGSIG_LANES);
            LOGSIG_KEEP(step[q]);
        }
        LOGSIG_UNROLL
        for (int r = 0; r < rows; r++) {
            const logsig_vec factor = LOGSIG_SET1(from[r][t * before->step]);
            LOGSIG_UNROLL
            for (int q = 0; q < vectors; q++) sum[r][q] = LOGSIG_FMA(step[q], factor, sum[r][q]);
        }
    }
    LOGSIG_UNROLL
    for (int r = 0; r < rows; r++)
        LOGSIG_UNROLL
        for (int q = 0; q < vectors; q++) logsig_store(s + (r * width + q) * LOGSIG_LANES, sum[r][q]);
}

/* The same for any number of prefixes. */
LOGSIG_INLINE void logsig_add_tiles(const unsigned short (*row)[2], const int *place, int rows, const int vectors,
                                    int width, const logsig_real *v, ptrdiff_t steps, const logsig_values *before,
                                    logsig_real *s)
{
    const int most = vectors == 1 ? LOGSIG_ALONE_SINGLE : LOGSIG_ALONE_ROWS;
    for (; rows >= most; rows -= most, row += most, s += most * width * LOGSIG_LANES)
        logsig_add_tile(row, place, most, vectors, width, v, steps, before, s);
    for (; rows > 0; rows--, row++, s += width * LOGSIG_LANES)
        logsig_add_tile(row, place, 1, vectors, width, v, steps, before, s);
}

/* All words of as many letters as the degree. */
LOGSIG_NOINLINE void logsig_add_last_words(const logsig_real *v, ptrdiff_t steps, const logsig_values *before,
                                           const int *place, logsig_real *s)
{
    const unsigned short(*row)[2] = last_rows;
    for (int first = 0, width; first < LOGSIG_LETTERS;) {
        int rows = 0;
        for (width = LOGSIG_WIDTH(first); first < LOGSIG_LETTERS && LOGSIG_WIDTH(first) == width; first++)
            rows += row_counts[first];
        for (int c = 0, count; c < width; c += count) {
            const logsig_real *const at = v + LOGSIG_ROW + (c - width) * LOGSIG_LANES;
            logsig_real *const to = s + c * LOGSIG_LANES;
            count = width - c < LOGSIG_ALONE_VECTORS ? width - c : LOGSIG_ALONE_VECTORS;
            if (count == 1)
                logsig_add_tiles(row, place, rows, 1, width, at, steps, before, to);
            else if (count == 2)
                logsig_add_tiles(row, place, rows, 2, width, at, steps, before, to);
            else
                logsig_add_tiles(row, place, rows, LOGSIG_ALONE_VECTORS, width, at, steps, before, to);
        }
        row += rows;
        s += rows * width * LOGSIG_LANES;
    }
}

/* Numbers of the words that begin with letter `first`, from their row to a lane of vectors, or to all lanes if lane < 0. */
LOGSIG_INLINE void logsig_give_row(const logsig_real *s, int first, int lane, logsig_vec *to)
{
    s += LOGSIG_SPARE - LOGSIG_BEGIN(first) * LOGSIG_LANES;
    if (lane < 0)
        for (int i = first; i < LOGSIG_LETTERS; i++) *to++ = LOGSIG_SET1(s[i]);
    else
        for (int i = first; i < LOGSIG_LETTERS; i++) ((logsig_real *)to++)[lane] = s[i];
}

LOGSIG_INLINE void logsig_give_state(const logsig_real *s, int lane, logsig_vec *state)
{
    const unsigned char *first = first_letters;
    logsig_vec *to = state + LOGSIG_LETTERS;
    logsig_give_row(s, 0, lane, state);
    s += LOGSIG_ROW;
    for (int k = 2; k < LOGSIG_DEGREE; k++)
        for (int p = 0; p < word_counts[k - 2]; p++, first++) {
            logsig_give_row(s, *first, lane, to);
            s += LOGSIG_WIDTH(*first) * LOGSIG_LANES;
            to += LOGSIG_LETTERS - *first;
        }
    const unsigned short(*row)[2] = last_rows;
    for (int letter = 0; letter < LOGSIG_LETTERS; letter++)
        for (int r = 0; r < row_counts[letter]; r++, row++, s += LOGSIG_WIDTH(letter) * LOGSIG_LANES)
            logsig_give_row(s, letter, lane, state + (*row)[1]);
}

/* Where prefixes have their values, and where there is room for them. */
LOGSIG_INLINE void logsig_plan_values(logsig_values *values, int *place)
{
    const unsigned char *first = first_letters;
    values[1].step = LOGSIG_ROW;
    for (int i = 0; i < LOGSIG_LETTERS; i++) *place++ = LOGSIG_SPARE + i;
    for (int k = 2; k < LOGSIG_DEGREE; k++) {
        int begin = 0;
        for (int p = 0; p < word_counts[k - 2]; p++, first++) {
            const int of_letters = begin + LOGSIG_SPARE - LOGSIG_BEGIN(*first) * LOGSIG_LANES;
            for (int i = *first; i < LOGSIG_LETTERS; i++) *place++ = of_letters + i;
            begin += LOGSIG_WIDTH(*first) * LOGSIG_LANES;
        }
        values[k].data = logsig_values_at(&values[k - 1], LOGSIG_DEGREE - k + 1, 0);
        values[k].step = begin;
    }
}

/* The state of a path of `points` points; see logsig_path_job. */
LOGSIG_NOINLINE void logsig_walk_alone(const logsig_real *x, ptrdiff_t points, int lane, logsig_vec *room,
                                       logsig_vec *state)
{
    logsig_vec *const state_room = room + LOGSIG_ALONE_DISPLACEMENTS, *const chains = state_room + LOGSIG_ALONE_STATE;
    logsig_real *const v = (logsig_real *)room, *const s = (logsig_real *)state_room;
    int *const places = (int *)(chains + LOGSIG_ALONE_CHAINS);
    logsig_values values[LOGSIG_DEGREE];
    values[1].data = (logsig_real *)chains;
    logsig_plan_values(values, places);
    logsig_clear(state_room, LOGSIG_ALONE_STATE);
    for (ptrdiff_t t = 0, steps; t < points - 1; t += steps, x += steps * LOGSIG_LETTERS) {
        const unsigned char *first = first_letters;
        const int *place = places;
        logsig_real *sums = s + LOGSIG_ROW;
        steps = points - 1 - t < LOGSIG_ALONE_STEPS ? points - 1 - t : LOGSIG_ALONE_STEPS;
        logsig_load_letters_of(x, steps, v);
        logsig_add_letters(v, steps, s, &values[1]);
        LOGSIG_UNROLL
        for (int k = 2; k < LOGSIG_DEGREE; k++) {
            sums = logsig_add_words(k, first, place, v, steps, &values[k - 1], sums, &values[k]);
            first += word_counts[k - 2];
            place += word_counts[k - 2];
        }
        logsig_add_last_words(v, steps, &values[LOGSIG_DEGREE - 1], places, sums);
    }
    logsig_give_state(s, lane, state);
}

#endif
