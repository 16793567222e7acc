/* Paths of degree two with many letters: loops, one letter per lane.
 *
 * The coordinate of the word ij of a path with the points x(0) ... x(K) is the sum over its steps k of
 *
 *     (x_i(k) / 2 + x_i(k + 1) / 2 - x_i(0) / 2 - x_i(K) / 2) (x_j(k + 1) - x_j(k)) :
 *
 * a product of two matrices, of which the part above the diagonal is formed, a tile of ROWS x VECTORS vectors at a time.
 * Points are read as they lie, and nothing is transposed. With the derivatives by words as an antisymmetric matrix G, the
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

/* Numbers for each letter, whole vectors and whole rows of a tile. */
#define LOGSIG_LETTERS_UNIT (LOGSIG_LANES > LOGSIG_TILE_ROWS ? LOGSIG_LANES : LOGSIG_TILE_ROWS)
#define LOGSIG_LETTERS_ROOM (((LOGSIG_LETTERS - 1) / LOGSIG_LETTERS_UNIT + 1) * LOGSIG_LETTERS_UNIT)

/* Steps that are summed at a time: their displacements take about so many bytes. */
#ifndef LOGSIG_WIDE_BYTES
#define LOGSIG_WIDE_BYTES 32768
#endif
#define LOGSIG_WIDE_FIT (LOGSIG_WIDE_BYTES / (LOGSIG_LETTERS_ROOM * (LOGSIG_REAL_BITS / 8)))
#define LOGSIG_WIDE_STEPS (LOGSIG_WIDE_FIT < 16 ? 16 : LOGSIG_WIDE_FIT)

/* Vectors of a frame: displacements and midpoints of so many steps, and the sums of displacements. */
#define LOGSIG_WIDE_FRAME ((2 * LOGSIG_WIDE_STEPS + 1) * (LOGSIG_LETTERS_ROOM / LOGSIG_LANES))

/* Backward: the matrix, and half differences of so many points. */
#define LOGSIG_WIDE_BACK_FRAME \
    ((LOGSIG_LETTERS_ROOM + LOGSIG_WIDE_STEPS) * (LOGSIG_LETTERS_ROOM / LOGSIG_LANES))

/* How wide the tile is that begins at vector c: those of a row are nearly equal. */
LOGSIG_INLINE int logsig_tile_width(int c)
{
    const int left = LOGSIG_LETTERS_VECTORS - c;
    return (left - 1) / ((left - 1) / LOGSIG_TILE_VECTORS + 1) + 1;
}

/* Adds a vector of sums to the words of letter i and those of vector c, or, first, writes it there; whole: they fill it. */
LOGSIG_INLINE void logsig_put_words(logsig_real *out, int i, int c, logsig_vec sum, int first, const int whole)
{
    const int begin = i + 1 - c * LOGSIG_LANES, end = LOGSIG_LETTERS - c * LOGSIG_LANES;
    logsig_real *const to = out + logsig_words_of(i) - begin;
    if (whole) {
        logsig_store(to, first ? sum : LOGSIG_ADD(logsig_load(to), sum));
    } else if (begin < LOGSIG_LANES && begin < end) {
        const logsig_part part = logsig_part_of(begin > 0 ? begin : 0, end < LOGSIG_LANES ? end : LOGSIG_LANES);
        logsig_store_part(to, part, first ? sum : LOGSIG_ADD(logsig_load_part(to, part), sum));
    }
}

/* The words of letters i ... i + ROWS - 1 and those of `vectors` vectors from c on, over `steps` steps. */
LOGSIG_INLINE void logsig_sum_tile(const logsig_real *mid, const logsig_real *v, ptrdiff_t steps, int i, int c,
                                   const int vectors, logsig_real *out, int first)
{
    logsig_vec sum[LOGSIG_TILE_ROWS][LOGSIG_TILE_VECTORS];
    LOGSIG_UNROLL
    for (int r = 0; r < LOGSIG_TILE_ROWS; r++)
        LOGSIG_UNROLL
        for (int k = 0; k < vectors; k++) sum[r][k] = LOGSIG_SET1(0);
    mid += i;
    v += c * LOGSIG_LANES;
    for (; steps > 0; steps--, mid += LOGSIG_LETTERS_ROOM, v += LOGSIG_LETTERS_ROOM) {
        logsig_vec w[LOGSIG_TILE_VECTORS];
        LOGSIG_UNROLL
        for (int k = 0; k < vectors; k++) {
            w[k] = ((const logsig_vec *)v)[k];
            LOGSIG_KEEP(w[k]);
        }
        LOGSIG_UNROLL
        for (int r = 0; r < LOGSIG_TILE_ROWS; r++) {
            const logsig_vec m = LOGSIG_SET1(mid[r]);
            LOGSIG_UNROLL
            for (int k = 0; k < vectors; k++) sum[r][k] = LOGSIG_FMA(m, w[k], sum[r][k]);
        }
    }
    if (i + LOGSIG_TILE_ROWS <= c * LOGSIG_LANES && (c + vectors) * LOGSIG_LANES <= LOGSIG_LETTERS) {
        LOGSIG_UNROLL
        for (int r = 0; r < LOGSIG_TILE_ROWS; r++)
            LOGSIG_UNROLL
            for (int k = 0; k < vectors; k++) logsig_put_words(out, i + r, c + k, sum[r][k], first, 1);
        return;
    }
    LOGSIG_UNROLL
    for (int r = 0; r < LOGSIG_TILE_ROWS; r++)
        LOGSIG_UNROLL
        for (int k = 0; k < vectors; k++) logsig_put_words(out, i + r, c + k, sum[r][k], first, 0);
}

/* Sums of words over `steps` steps; next: so many numbers are asked for meanwhile, those that are needed next. */
LOGSIG_NOINLINE void logsig_sum_words(const logsig_real *mid, const logsig_real *v, ptrdiff_t steps, logsig_real *out,
                                      int first, const logsig_real *next, ptrdiff_t numbers)
{
    const logsig_real *const end = next + numbers;
    for (int i = 0; i < LOGSIG_LETTERS - 1; i += LOGSIG_TILE_ROWS) {
        for (int k = 0; k <= numbers * LOGSIG_TILE_ROWS / LOGSIG_LETTERS && next < end; k += LOGSIG_LINE, next += LOGSIG_LINE)
            LOGSIG_ASK_FOR(next);
        for (int c = (i + 1) / LOGSIG_LANES, count; c < LOGSIG_LETTERS_VECTORS; c += count) {
            count = logsig_tile_width(c);
            switch (count) {
            case 1: logsig_sum_tile(mid, v, steps, i, c, 1, out, first); break;
            case 2: logsig_sum_tile(mid, v, steps, i, c, 2, out, first); break;
#if LOGSIG_TILE_VECTORS > 2
            case 3: logsig_sum_tile(mid, v, steps, i, c, 3, out, first); break;
            default: logsig_sum_tile(mid, v, steps, i, c, 4, out, first);
#endif
            }
        }
    }
}

/* Displacements of steps t ... t + steps - 1, and where their middles lie as seen from the middle between the path's ends;
 * sum: of all displacements before, and then with these. */
LOGSIG_INLINE void logsig_load_steps(const logsig_real *x, ptrdiff_t t, ptrdiff_t steps, ptrdiff_t all, logsig_real *sum,
                                     logsig_real *mid, logsig_real *v)
{
    const logsig_vec half = LOGSIG_SET1((logsig_real)1 / 2);
    for (int c = 0; c < LOGSIG_LETTERS_ROOM / LOGSIG_LANES; c++) {
        const logsig_vec first = logsig_load_letters(x, c), last = logsig_load_letters(x + all * LOGSIG_LETTERS, c);
        const logsig_vec centre = LOGSIG_MUL(half, LOGSIG_SUB(last, first));
        logsig_vec here = logsig_load_letters(x + t * LOGSIG_LETTERS, c), y = ((logsig_vec *)sum)[c];
        for (ptrdiff_t k = 0; k < steps; k++) {
            const logsig_vec next = logsig_load_letters(x + (t + k + 1) * LOGSIG_LETTERS, c);
            const logsig_vec step = LOGSIG_SUB(next, here);
            ((logsig_vec *)(v + k * LOGSIG_LETTERS_ROOM))[c] = step;
            ((logsig_vec *)(mid + k * LOGSIG_LETTERS_ROOM))[c] = LOGSIG_FMA(half, step, LOGSIG_SUB(y, centre));
            y = LOGSIG_ADD(y, step);
            here = next;
        }
        ((logsig_vec *)sum)[c] = y;
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
    logsig_real *const mid = (logsig_real *)frame, *const v = mid + LOGSIG_WIDE_STEPS * LOGSIG_LETTERS_ROOM;
    logsig_real *const sum = v + LOGSIG_WIDE_STEPS * LOGSIG_LETTERS_ROOM;
    for (; row < end; row++) {
        const logsig_real *const x = logsig_wide_path(job, row);
        logsig_real *const out = (logsig_real *)job->operands[0].data + row * job->operands[0].stride;
        const ptrdiff_t all = (job->lengths ? job->lengths[row] : job->length) - 1;
        logsig_clear((logsig_vec *)sum, LOGSIG_LETTERS_ROOM / LOGSIG_LANES);
        if (all < 1) memset(out, 0, (size_t)job->operands[0].columns * sizeof(logsig_real));
        for (ptrdiff_t t = 0, steps; t < all; t += steps) {
            steps = all - t < LOGSIG_WIDE_STEPS ? all - t : LOGSIG_WIDE_STEPS;
            logsig_load_steps(x, t, steps, all, sum, mid, v);
            const logsig_real *const next =
                t + steps < all || row + 1 == end ? x + (t + steps) * LOGSIG_LETTERS : logsig_wide_path(job, row + 1);
            logsig_sum_words(mid, v, steps, out, t == 0, next, (steps + 1) * LOGSIG_LETTERS);
        }
        for (int i = 0; i < LOGSIG_LETTERS; i++) out[i] = sum[i];
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
        count = logsig_tile_width(c);
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
