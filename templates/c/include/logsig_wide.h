/* Paths of degree two with many letters: loops, one letter per lane.
 *
 * The coordinate of the word ij of a path with the points x(0) ... x(K) is the sum over its steps k of
 *
 *     (x_i(k) / 2 + x_i(k + 1) / 2 - x_i(0) / 2 - x_i(K) / 2) (x_j(k + 1) - x_j(k)) :
 *
 * a product of two matrices, of which the part above the diagonal is formed, a tile of ROWS x VECTORS vectors at a time.
 * The vectors of a tile begin with the first word of its first row. Points are read as they lie, and nothing is transposed. With the derivatives by words as an antisymmetric matrix G, the
 * derivative by x(k) is
 *
 *     G (x(k + 1) - x(k - 1)) / 2 ,
 *
 * where x(K + 1) is x(0) and x(-1) is x(K); those by letters are added to the last point's and taken from the first one's.
 * Every path is computed by itself, so that a number depends on its own path only. The file that includes this one defines
 * LOGSIG_LETTERS, the dimension.
 */
#ifndef LOGSIG_WIDE_H
#define LOGSIG_WIDE_H

#include "logsig_letters.h"
#include "logsig_paths.h"

/* A tile, that fits into the registers. */
#define LOGSIG_TILE_ROWS 4
#if LOGSIG_AVX512 || LOGSIG_NEON
#define LOGSIG_TILE_VECTORS 4
#else
#define LOGSIG_TILE_VECTORS 2
#endif
/* Tiles of so few vectors have twice as many rows: more products for each number that is loaded. Where letters are no more
 * than two vectors (32 in float32), two vectors by four rows take less time. */
#define LOGSIG_MOST_ROWS (2 * LOGSIG_TILE_ROWS)
#define LOGSIG_FEW_VECTORS (LOGSIG_LETTERS > 2 * LOGSIG_LANES ? LOGSIG_TILE_VECTORS / 2 : 1)

/* How many letters of a tile precede its words where it is not the first one of its row: none where two vectors hold more
 * letters than the tile has rows. */
#define LOGSIG_NONE_BEFORE(letters) (2 * LOGSIG_LANES > LOGSIG_TILE_ROWS ? -LOGSIG_MOST_ROWS : (letters))

/* Half a vector, where that saves time: the last one of a tile may be one. */
#if LOGSIG_AVX512 && LOGSIG_SHUFFLE && defined(__FMA__)
#define LOGSIG_HALVES 1
typedef logsig_real logsig_half __attribute__((vector_size(32)));
typedef logsig_real logsig_loose_half __attribute__((vector_size(32), aligned(LOGSIG_REAL_BITS / 8), may_alias));
#if LOGSIG_REAL_BITS == 64
#define LOGSIG_LOWER(x) __builtin_shufflevector((x), (x), 0, 1, 2, 3)
#define LOGSIG_WIDER(x) __builtin_shufflevector((x), (logsig_half){0}, 0, 1, 2, 3, 4, 5, 6, 7)
#else
#define LOGSIG_LOWER(x) __builtin_shufflevector((x), (x), 0, 1, 2, 3, 4, 5, 6, 7)
#define LOGSIG_WIDER(x) __builtin_shufflevector((x), (logsig_half){0}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#endif
#if LOGSIG_BUILTINS && LOGSIG_REAL_BITS == 64
#define LOGSIG_HALF_FMA(a, b, c) __builtin_ia32_vfmaddpd256((a), (b), (c))
#elif LOGSIG_BUILTINS
#define LOGSIG_HALF_FMA(a, b, c) __builtin_ia32_vfmaddps256((a), (b), (c))
#elif LOGSIG_REAL_BITS == 64
#define LOGSIG_HALF_FMA(a, b, c) ((logsig_half)_mm256_fmadd_pd((a), (b), (c)))
#else
#define LOGSIG_HALF_FMA(a, b, c) ((logsig_half)_mm256_fmadd_ps((a), (b), (c)))
#endif
#else
#define LOGSIG_HALVES 0
#endif

/* Numbers for each letter, whole vectors and whole rows of a tile. */
#define LOGSIG_LETTERS_UNIT (LOGSIG_LANES > LOGSIG_TILE_ROWS ? LOGSIG_LANES : LOGSIG_TILE_ROWS)
#define LOGSIG_LETTERS_ROOM (((LOGSIG_LETTERS - 1) / LOGSIG_LETTERS_UNIT + 1) * LOGSIG_LETTERS_UNIT)

/* Steps that are summed at a time: their displacements take about so many bytes. */
#ifndef LOGSIG_WIDE_BYTES
#define LOGSIG_WIDE_BYTES 32768
#endif
#define LOGSIG_WIDE_FIT (LOGSIG_WIDE_BYTES / (LOGSIG_LETTERS_ROOM * (LOGSIG_REAL_BITS / 8)))
#define LOGSIG_WIDE_STEPS (LOGSIG_WIDE_FIT < 16 ? 16 : LOGSIG_WIDE_FIT)

/* From step to step in a frame: an odd number of lines, so that steps spread over all places of the first-level cache. */
#define LOGSIG_WIDE_ROW (LOGSIG_LETTERS_ROOM + (LOGSIG_LETTERS_ROOM / LOGSIG_LINE % 2 ? 0 : LOGSIG_LINE))

/* Vectors of a frame: displacements and midpoints of so many steps, the sums of displacements, the middle of the ends. */
#define LOGSIG_WIDE_FRAME ((2 * LOGSIG_WIDE_STEPS + 2) * (LOGSIG_WIDE_ROW / LOGSIG_LANES))

/* Backward: the matrix, and half differences of so many points. */
#define LOGSIG_WIDE_BACK_FRAME \
    ((LOGSIG_LETTERS_ROOM + LOGSIG_WIDE_STEPS) * (LOGSIG_LETTERS_ROOM / LOGSIG_LANES))

/* How wide the first tile is of a row of so many vectors: tiles are nearly equal. */
LOGSIG_INLINE int logsig_tile_width(int vectors)
{
    return (vectors - 1) / ((vectors - 1) / LOGSIG_TILE_VECTORS + 1) + 1;
}

/* Adds elements begin ... end - 1 of a vector to the numbers from `to` on, or, first, writes them there. */
LOGSIG_INLINE void logsig_put(logsig_real *to, int begin, int end, logsig_vec sum, int first)
{
    if (begin <= 0 && end >= LOGSIG_LANES) {
        logsig_store(to, first ? sum : LOGSIG_ADD(logsig_load(to), sum));
    } else if (begin < LOGSIG_LANES && begin < end) {
        const logsig_part part = logsig_part_of(begin > 0 ? begin : 0, end < LOGSIG_LANES ? end : LOGSIG_LANES);
        logsig_store_part(to, part, first ? sum : LOGSIG_ADD(logsig_load_part(to, part), sum));
    }
}

/* The sums of a tile: letters i ... i + rows - 1 and the letters from `letter` on, of which `before` precede the first word,
 * known to the compiler where it can be: then it chooses how each vector is stored. */
LOGSIG_INLINE void logsig_put_tile(logsig_real *out, int i, int letter, int before, const int rows, const int vectors,
                                   logsig_vec sum[][LOGSIG_TILE_VECTORS], int first)
{
    const int left = LOGSIG_LETTERS - letter;
    logsig_real *to = out + logsig_words_of(i) + letter - i - 1;
    LOGSIG_UNROLL
    for (int r = 0; r < rows; r++) {
        if ((rows > LOGSIG_TILE_ROWS || LOGSIG_LANES < LOGSIG_TILE_ROWS) && i + r > LOGSIG_LETTERS - 2) return;
        LOGSIG_UNROLL
        for (int k = 0; k < vectors; k++)
            logsig_put(to + k * LOGSIG_LANES, before + r - k * LOGSIG_LANES,
                       k + 1 < vectors ? LOGSIG_LANES : left - k * LOGSIG_LANES, sum[r][k], first);
        to += LOGSIG_LETTERS - 2 - i - r;
    }
}

/* A tile over `steps` steps; half: its last vector is half a vector. */
LOGSIG_INLINE void logsig_sum_tile(const logsig_real *mid, const logsig_real *v, ptrdiff_t steps, int i, int letter,
                                   const int rows, const int vectors, const int half, logsig_real *out, int first)
{
    logsig_vec sum[LOGSIG_MOST_ROWS][LOGSIG_TILE_VECTORS];
    const int whole = vectors - half;
#if LOGSIG_HALVES
    logsig_half last[LOGSIG_MOST_ROWS];
    LOGSIG_UNROLL
    for (int r = 0; r < rows; r++) last[r] = (logsig_half){0};
#endif
    LOGSIG_UNROLL
    for (int r = 0; r < rows; r++)
        LOGSIG_UNROLL
        for (int k = 0; k < whole; k++) sum[r][k] = LOGSIG_SET1(0);
    mid += i;
    v += letter;
    for (; steps > 0; steps--, mid += LOGSIG_WIDE_ROW, v += LOGSIG_WIDE_ROW) {
        logsig_vec w[LOGSIG_TILE_VECTORS];
        LOGSIG_UNROLL
        for (int k = 0; k < whole; k++) {
            w[k] = logsig_load(v + k * LOGSIG_LANES);
            LOGSIG_KEEP(w[k]);
        }
#if LOGSIG_HALVES
        logsig_half u = {0};
        if (half) u = *(const logsig_loose_half *)(v + whole * LOGSIG_LANES);
        LOGSIG_KEEP(u);
#endif
        LOGSIG_UNROLL
        for (int r = 0; r < rows; r++) {
            const logsig_vec m = LOGSIG_SET1(mid[r]);
            LOGSIG_UNROLL
            for (int k = 0; k < whole; k++) sum[r][k] = LOGSIG_FMA(m, w[k], sum[r][k]);
#if LOGSIG_HALVES
            if (half) last[r] = LOGSIG_HALF_FMA(LOGSIG_LOWER(m), u, last[r]);
#endif
        }
    }
#if LOGSIG_HALVES
    LOGSIG_UNROLL
    for (int r = 0; half && r < rows; r++) sum[r][whole] = LOGSIG_WIDER(last[r]);
#endif
    if (letter == i + 1)
        logsig_put_tile(out, i, letter, 0, rows, vectors, sum, first);
    else
        logsig_put_tile(out, i, letter, LOGSIG_NONE_BEFORE(i + 1 - letter), rows, vectors, sum, first);
}

/* Sums of the words of all letters but the first ones, over `steps` steps; next: so many numbers are asked for meanwhile,
 * those that are needed next. */
LOGSIG_NOINLINE void logsig_sum_words(const logsig_real *mid, const logsig_real *v, ptrdiff_t steps, logsig_real *out,
                                      int first, const logsig_real *next, ptrdiff_t numbers)
{
#define LOGSIG_SUM(rows, vectors, half) \
    case 16 * (rows) + 2 * (vectors) - (half): \
        logsig_sum_tile(mid, v, steps, i, letter, (rows), (vectors), (half), out, first); \
        break
    const logsig_real *const end = next + numbers;
    for (int i = LOGSIG_TILE_ROWS, rows; i < LOGSIG_LETTERS - 1; i += rows) {
        int left = LOGSIG_LETTERS - i - 1;
        rows = left <= LOGSIG_FEW_VECTORS * LOGSIG_LANES ? LOGSIG_MOST_ROWS : LOGSIG_TILE_ROWS;
        for (int k = 0; k <= numbers * rows / LOGSIG_LETTERS && next < end; k += LOGSIG_LINE, next += LOGSIG_LINE)
            LOGSIG_ASK_FOR(next);
        for (int vectors; left > 0; left -= vectors * LOGSIG_LANES) {
            const int letter = LOGSIG_LETTERS - left;
            vectors = logsig_tile_width((left - 1) / LOGSIG_LANES + 1);
            const int half = LOGSIG_HALVES && 2 * (left - (vectors - 1) * LOGSIG_LANES) <= LOGSIG_LANES;
            switch (16 * rows + 2 * vectors - half) {
                LOGSIG_SUM(LOGSIG_MOST_ROWS, 1, 0);
                LOGSIG_SUM(LOGSIG_TILE_ROWS, 2, 0);
#if LOGSIG_TILE_VECTORS == 2
                LOGSIG_SUM(LOGSIG_TILE_ROWS, 1, 0);
#else
                LOGSIG_SUM(LOGSIG_MOST_ROWS, 2, 0);
                LOGSIG_SUM(LOGSIG_TILE_ROWS, 3, 0);
                LOGSIG_SUM(LOGSIG_TILE_ROWS, 4, 0);
#endif
#if LOGSIG_HALVES
                LOGSIG_SUM(LOGSIG_MOST_ROWS, 1, 1);
                LOGSIG_SUM(LOGSIG_MOST_ROWS, 2, 1);
                LOGSIG_SUM(LOGSIG_TILE_ROWS, 2, 1);
                LOGSIG_SUM(LOGSIG_TILE_ROWS, 3, 1);
                LOGSIG_SUM(LOGSIG_TILE_ROWS, 4, 1);
#endif
            }
        }
    }
}

/* The tile of the first letters and `vectors` vectors from `letter` on; whole: they are filled. On the way it makes what the
 * other tiles read: displacements of `steps` steps from point x on, and where their middles lie as seen from `centre`;
 * position: the sum of all displacements before, and then with these. */
LOGSIG_INLINE void logsig_make_tile(const logsig_real *x, const logsig_real *centre, logsig_real *position, logsig_real *mid,
                                    logsig_real *v, ptrdiff_t steps, int letter, const int vectors, const int whole,
                                    logsig_real *out, int first)
{
    const logsig_vec half = LOGSIG_SET1((logsig_real)1 / 2), *const middle = (const logsig_vec *)(centre + letter);
    const int left = whole ? vectors * LOGSIG_LANES : LOGSIG_LETTERS - letter;
    const logsig_real *m = mid;
    logsig_vec sum[LOGSIG_TILE_ROWS][LOGSIG_TILE_VECTORS], here[LOGSIG_TILE_VECTORS], y[LOGSIG_TILE_VECTORS];
    x += letter;
    v += letter;
    mid += letter;
    position += letter;
    LOGSIG_UNROLL
    for (int k = 0; k < vectors; k++) {
        here[k] = logsig_load_some(x + k * LOGSIG_LANES, left - k * LOGSIG_LANES);
        y[k] = ((const logsig_vec *)position)[k];
        LOGSIG_UNROLL
        for (int r = 0; r < LOGSIG_TILE_ROWS; r++) sum[r][k] = LOGSIG_SET1(0);
    }
    for (; steps > 0; steps--, m += LOGSIG_WIDE_ROW, mid += LOGSIG_WIDE_ROW, v += LOGSIG_WIDE_ROW) {
        logsig_vec w[LOGSIG_TILE_VECTORS];
        x += LOGSIG_LETTERS;
        LOGSIG_UNROLL
        for (int k = 0; k < vectors; k++) {
            const logsig_vec next = k + 1 < vectors ? logsig_load(x + k * LOGSIG_LANES)
                                                    : logsig_load_some(x + k * LOGSIG_LANES, left - k * LOGSIG_LANES);
            ((logsig_vec *)v)[k] = w[k] = LOGSIG_SUB(next, here[k]);
            ((logsig_vec *)mid)[k] = LOGSIG_FMA(half, w[k], LOGSIG_SUB(y[k], middle[k]));
            y[k] = LOGSIG_ADD(y[k], w[k]);
            here[k] = next;
        }
        LOGSIG_UNROLL
        for (int r = 0; r < LOGSIG_TILE_ROWS; r++) {
            const logsig_vec row = LOGSIG_SET1(m[r]);
            LOGSIG_UNROLL
            for (int k = 0; k < vectors; k++) sum[r][k] = LOGSIG_FMA(row, w[k], sum[r][k]);
        }
    }
    LOGSIG_UNROLL
    for (int k = 0; k < vectors; k++) ((logsig_vec *)position)[k] = y[k];
    if (letter == 0)
        logsig_put_tile(out, 0, letter, 1, LOGSIG_TILE_ROWS, vectors, sum, first);
    else
        logsig_put_tile(out, 0, letter, LOGSIG_NONE_BEFORE(1 - letter), LOGSIG_TILE_ROWS, vectors, sum, first);
}

LOGSIG_NOINLINE void logsig_make_words(const logsig_real *x, const logsig_real *centre, logsig_real *position,
                                       logsig_real *mid, logsig_real *v, ptrdiff_t steps, logsig_real *out, int first)
{
#define LOGSIG_MAKE(vectors, whole) \
    case 2 * (vectors) + (whole): \
        logsig_make_tile(x, centre, position, mid, v, steps, c * LOGSIG_LANES, (vectors), (whole), out, first); \
        break
    for (int c = 0, vectors; c < LOGSIG_LETTERS_VECTORS; c += vectors) {
        vectors = logsig_tile_width(LOGSIG_LETTERS_VECTORS - c);
        switch (2 * vectors + ((c + vectors) * LOGSIG_LANES <= LOGSIG_LETTERS)) {
            LOGSIG_MAKE(1, 1);
            LOGSIG_MAKE(2, 1);
#if LOGSIG_TILE_VECTORS > 2
            LOGSIG_MAKE(3, 1);
            LOGSIG_MAKE(4, 1);
#endif
#if LOGSIG_LETTERS % LOGSIG_LANES
            LOGSIG_MAKE(1, 0);
            LOGSIG_MAKE(2, 0);
#if LOGSIG_TILE_VECTORS > 2
            LOGSIG_MAKE(3, 0);
            LOGSIG_MAKE(4, 0);
#endif
#endif
        }
    }
}

LOGSIG_INLINE const logsig_real *logsig_wide_path(const logsig_path_job *job, ptrdiff_t row)
{
    return job->path.data + (job->path.starts ? job->path.starts[row] : row * job->path.stride);
}

/* Log-signatures of whole paths. Operand 0: out. */
LOGSIG_NOINLINE void logsig_walk_wide(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_path_job *const job = given;
    const logsig_vec half = LOGSIG_SET1((logsig_real)1 / 2);
    logsig_real *const mid = (logsig_real *)frame, *const v = mid + LOGSIG_WIDE_STEPS * LOGSIG_WIDE_ROW;
    logsig_real *const position = v + LOGSIG_WIDE_STEPS * LOGSIG_WIDE_ROW, *const centre = position + LOGSIG_WIDE_ROW;
    for (; row < end; row++) {
        const logsig_real *const x = logsig_wide_path(job, row);
        logsig_real *const out = (logsig_real *)job->operands[0].data + row * job->operands[0].stride;
        const ptrdiff_t all = (job->lengths ? job->lengths[row] : job->length) - 1;
        if (all < 1) {
            memset(out, 0, (size_t)job->operands[0].columns * sizeof(logsig_real));
            continue;
        }
        logsig_clear((logsig_vec *)position, LOGSIG_LETTERS_VECTORS);
        for (int c = 0; c < LOGSIG_LETTERS_VECTORS; c++) {
            const logsig_vec last = logsig_load_letters(x + all * LOGSIG_LETTERS, c);
            ((logsig_vec *)centre)[c] = LOGSIG_MUL(half, LOGSIG_SUB(last, logsig_load_letters(x, c)));
        }
        for (ptrdiff_t t = 0, steps; t < all; t += steps) {
            steps = all - t < LOGSIG_WIDE_STEPS ? all - t : LOGSIG_WIDE_STEPS;
            logsig_make_words(x + t * LOGSIG_LETTERS, centre, position, mid, v, steps, out, t == 0);
            const logsig_real *const next =
                t + steps < all || row + 1 == end ? x + (t + steps) * LOGSIG_LETTERS : logsig_wide_path(job, row + 1);
            logsig_sum_words(mid, v, steps, out, t == 0, next, (steps + 1) * LOGSIG_LETTERS);
        }
        memcpy(out, position, LOGSIG_LETTERS * sizeof(logsig_real));
    }
}

/* The antisymmetric matrix of the derivatives by words: above the diagonal they stand as they are. */
LOGSIG_NOINLINE void logsig_matrix_of_words(const logsig_real *d_out, logsig_real *matrix)
{
    const int vectors = LOGSIG_LETTERS_ROOM / LOGSIG_LANES;
    for (int i = 0; i < LOGSIG_LETTERS_ROOM; i++)
        for (int c = i / LOGSIG_LANES; c < vectors; c++) {
            const int begin = i + 1 - c * LOGSIG_LANES, end = LOGSIG_LETTERS - c * LOGSIG_LANES;
            const int first = begin > 0 ? begin : 0, last = end < LOGSIG_LANES ? end : LOGSIG_LANES;
            const logsig_real *const from = d_out + logsig_words_of(i) - begin;
            logsig_vec row = LOGSIG_SET1(0);
            if (last - first == LOGSIG_LANES)
                row = logsig_load(from);
            else if (first < last)
                row = logsig_load_part(from, logsig_part_of(first, last));
            ((logsig_vec *)(matrix + (ptrdiff_t)i * LOGSIG_LETTERS_ROOM))[c] = row;
        }
    for (int b = 0; b < vectors; b++)
        for (int c = b; c < vectors; c++) {
            logsig_real *const from = matrix + (ptrdiff_t)b * LOGSIG_LANES * LOGSIG_LETTERS_ROOM + c * LOGSIG_LANES;
            logsig_real *const to = matrix + (ptrdiff_t)c * LOGSIG_LANES * LOGSIG_LETTERS_ROOM + b * LOGSIG_LANES;
            logsig_vec tile[LOGSIG_LANES];
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) tile[i] = *(const logsig_vec *)(from + i * LOGSIG_LETTERS_ROOM);
            logsig_transpose(tile);
            LOGSIG_UNROLL
            for (int i = 0; i < LOGSIG_LANES; i++) {
                logsig_vec *const row = (logsig_vec *)(to + i * LOGSIG_LETTERS_ROOM);
                *row = LOGSIG_SUB(b == c ? *row : LOGSIG_SET1(0), tile[i]);
            }
        }
}

/* Derivatives by points k ... k + ROWS - 1, fewer at the end, and the letters of `vectors` vectors from c on; w: half
 * differences of the points. */
LOGSIG_INLINE void logsig_derive_tile(const logsig_real *matrix, const logsig_real *w, ptrdiff_t k, ptrdiff_t points,
                                      int c, const int vectors, logsig_real *d_path)
{
    logsig_vec sum[LOGSIG_TILE_ROWS][LOGSIG_TILE_VECTORS];
    const logsig_real *at[LOGSIG_TILE_ROWS];
    LOGSIG_UNROLL
    for (int r = 0; r < LOGSIG_TILE_ROWS; r++) {
        at[r] = w + (k + r < points ? k + r : points - 1) * LOGSIG_LETTERS_ROOM;
        LOGSIG_UNROLL
        for (int q = 0; q < vectors; q++) sum[r][q] = LOGSIG_SET1(0);
    }
    for (int j = 0; j < LOGSIG_LETTERS; j++) {
        const logsig_vec *const row = (const logsig_vec *)(matrix + (ptrdiff_t)j * LOGSIG_LETTERS_ROOM) + c;
        logsig_vec m[LOGSIG_TILE_VECTORS];
        LOGSIG_UNROLL
        for (int q = 0; q < vectors; q++) {
            m[q] = row[q];
            LOGSIG_KEEP(m[q]);
        }
        LOGSIG_UNROLL
        for (int r = 0; r < LOGSIG_TILE_ROWS; r++) {
            const logsig_vec x = LOGSIG_SET1(at[r][j]);
            LOGSIG_UNROLL
            for (int q = 0; q < vectors; q++) sum[r][q] = LOGSIG_FMA(x, m[q], sum[r][q]);
        }
    }
    LOGSIG_UNROLL
    for (int r = 0; r < LOGSIG_TILE_ROWS; r++)
        LOGSIG_UNROLL
        for (int q = 0; q < vectors; q++)
            if (k + r < points) logsig_store_letters(d_path + (k + r) * LOGSIG_LETTERS, c + q, sum[r][q]);
}

LOGSIG_NOINLINE void logsig_derive_points(const logsig_real *matrix, const logsig_real *w, ptrdiff_t points,
                                          logsig_real *d_path)
{
    for (int c = 0, count; c < LOGSIG_LETTERS_VECTORS; c += count) {
        count = logsig_tile_width(LOGSIG_LETTERS_VECTORS - c);
        for (ptrdiff_t k = 0; k < points; k += LOGSIG_TILE_ROWS) switch (count) {
            case 1: logsig_derive_tile(matrix, w, k, points, c, 1, d_path); break;
            case 2: logsig_derive_tile(matrix, w, k, points, c, 2, d_path); break;
#if LOGSIG_TILE_VECTORS > 2
            case 3: logsig_derive_tile(matrix, w, k, points, c, 3, d_path); break;
            default: logsig_derive_tile(matrix, w, k, points, c, 4, d_path);
#endif
            }
    }
}

/* Half the differences of the neighbours of points t ... t + points - 1. */
LOGSIG_INLINE void logsig_load_differences(const logsig_real *x, ptrdiff_t t, ptrdiff_t points, ptrdiff_t all,
                                           logsig_real *w)
{
    const logsig_vec half = LOGSIG_SET1((logsig_real)1 / 2);
    for (ptrdiff_t k = t; k < t + points; k++, w += LOGSIG_LETTERS_ROOM) {
        const logsig_real *const before = x + (k ? k - 1 : all) * LOGSIG_LETTERS;
        const logsig_real *const after = x + (k < all ? k + 1 : 0) * LOGSIG_LETTERS;
        for (int c = 0; c < LOGSIG_LETTERS_VECTORS; c++)
            ((logsig_vec *)w)[c] =
                LOGSIG_MUL(half, LOGSIG_SUB(logsig_load_letters(before, c), logsig_load_letters(after, c)));
    }
}

/* Gradients of whole paths. Operand 0: d_out; the log-signatures are not read. */
LOGSIG_NOINLINE void logsig_walk_wide_back(const void *given, logsig_vec *frame, ptrdiff_t row, ptrdiff_t end)
{
    const logsig_path_job *const job = given;
    logsig_real *const matrix = (logsig_real *)frame;
    logsig_real *const w = matrix + (ptrdiff_t)LOGSIG_LETTERS_ROOM * LOGSIG_LETTERS_ROOM;
    for (; row < end; row++) {
        const ptrdiff_t start = job->path.starts ? job->path.starts[row] : row * job->path.stride;
        const logsig_real *const x = job->path.data + start;
        const logsig_real *const d_out = job->operands[0].data + row * job->operands[0].stride;
        logsig_real *const d_path =
            (logsig_real *)job->d_path.data + (job->path.starts ? start : row * job->d_path.stride);
        const ptrdiff_t all = (job->lengths ? job->lengths[row] : job->length) - 1;
        if (all < 0) continue;
        if (all < 2) { /* no path of two points sweeps an area */
            memset(d_path, 0, (size_t)((all + 1) * LOGSIG_LETTERS) * sizeof(logsig_real));
        } else {
            logsig_matrix_of_words(d_out, matrix);
            for (ptrdiff_t t = 0, points; t <= all; t += points) {
                points = all + 1 - t < LOGSIG_WIDE_STEPS ? all + 1 - t : LOGSIG_WIDE_STEPS;
                logsig_load_differences(x, t, points, all, w);
                logsig_derive_points(matrix, w, points, d_path + t * LOGSIG_LETTERS);
            }
        }
        for (int i = 0; all && i < LOGSIG_LETTERS; i++) {
            d_path[i] -= d_out[i];
            d_path[all * LOGSIG_LETTERS + i] += d_out[i];
        }
    }
}

#endif
