/* Linear maps of rows by tables, in double precision, with the bits that numpy has. Rows of float are converted, and results
 * rounded once.
 *
 * Eight rows at a time have a lane each, where the compiler has vectors; what is left goes one by one. The sums of both
 * are written once, in one order, so that a row does not depend on the others.
 */
#ifndef LOGSIG_MAPS_H
#define LOGSIG_MAPS_H

#include <string.h>

#include "logsig_path_call.h"

/* logsig_pairwise: numpy's pairwise sum of the terms of `count` entries; logsig_mapped: number `row` of the image of x. */
#define LOGSIG_MAP_SUMS(number, pairwise, mapped)                                                                      \
    static inline void pairwise(const logsig_map *map, const number *x, ptrdiff_t entry, ptrdiff_t count, number *sum) \
    {                                                                                                                  \
        const ptrdiff_t *const at = map->indices + entry;                                                              \
        const double *const by = map->coefficients + entry;                                                            \
        ptrdiff_t k = 0;                                                                                               \
        number total = {0};                                                                                            \
        if (count > 128) {                                                                                             \
            const ptrdiff_t half = count / 2 - count / 2 % 8;                                                          \
            pairwise(map, x, entry, half, sum);                                                                        \
            pairwise(map, x, entry + half, count - half, &total);                                                      \
            *sum += total;                                                                                             \
            return;                                                                                                    \
        }                                                                                                              \
        if (count >= 8) {                                                                                              \
            number part[8];                                                                                            \
            for (int i = 0; i < 8; i++) part[i] = x[at[i]] * by[i];                                                    \
            for (k = 8; k + 8 <= count; k += 8)                                                                        \
                for (int i = 0; i < 8; i++) part[i] += x[at[k + i]] * by[k + i];                                       \
            total = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));         \
        }                                                                                                              \
        for (; k < count; k++) total += x[at[k]] * by[k];                                                              \
        *sum = total;                                                                                                  \
    }                                                                                                                  \
    static inline void mapped(const logsig_map *map, const number *x, ptrdiff_t row, number *sum)                      \
    {                                                                                                                  \
        const ptrdiff_t first = map->starts[row], count = map->starts[row + 1] - first;                                \
        const ptrdiff_t *const at = map->indices + first;                                                              \
        const double *const by = map->coefficients + first;                                                            \
        number total = {0}, rest = {0};                                                                                \
        if (count) total = x[at[0]] * by[0];                                                                           \
        if (count > 1) {                                                                                               \
            if (count > 8)                                                                                             \
                pairwise(map, x, first + 1, count - 1, &rest);                                                         \
            else                                                                                                       \
                for (ptrdiff_t k = 1; k < count; k++) rest += x[at[k]] * by[k];                                        \
            total += rest;                                                                                             \
        }                                                                                                              \
        *sum = total;                                                                                                  \
    }

LOGSIG_MAP_SUMS(double, logsig_pairwise, logsig_mapped)

/* ---- rows ------------------------------------------------------------------------------------------------------ */

#ifndef LOGSIG_MAPS_IN_LANES
#define LOGSIG_MAPS_IN_LANES 1
#endif
#if LOGSIG_MAPS_IN_LANES && defined(__GNUC__) && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define LOGSIG_MAP_LANES 8
#endif
#endif
#ifndef LOGSIG_MAP_LANES
#define LOGSIG_MAP_LANES 1
#endif
/* Rows of more numbers than this go one by one: eight of them take a megabyte. */
#ifndef LOGSIG_MAP_COLUMNS
#define LOGSIG_MAP_COLUMNS (1 << 14)
#endif

/* Row r is number r % inner of block r / inner; distances are counted in numbers. A result may begin where its row begins, or
 * before it. */
typedef struct {
    const logsig_map *maps; /* applied one after the other */
    int n_maps, single;     /* single: all rows are of float */
    ptrdiff_t skip, columns; /* of a row: numbers that are passed over, numbers that are read after them */
    ptrdiff_t front, width; /* of a result: zeros before it, and all its numbers; it is filled up with zeros, or cut */
    const void *from;
    void *to;
    ptrdiff_t inner, from_block, to_block, from_row, to_row;
} logsig_map_rows;

static inline ptrdiff_t logsig_map_most(const logsig_map_rows *job)
{
    ptrdiff_t most = job->columns;
    for (int m = 0; m + 1 < job->n_maps; m++) most = job->maps[m].rows > most ? job->maps[m].rows : most;
    return most;
}

/* Numbers of double precision that logsig_map_some needs for so many rows: x, and the images of all maps but the last. */
static inline ptrdiff_t logsig_map_room(const logsig_map_rows *job, ptrdiff_t rows)
{
    const ptrdiff_t most = logsig_map_most(job);
    return (job->n_maps > 1 ? 2 : 1) * most * (rows >= LOGSIG_MAP_LANES && most <= LOGSIG_MAP_COLUMNS ? LOGSIG_MAP_LANES : 1);
}

static inline ptrdiff_t logsig_map_from(const logsig_map_rows *job, ptrdiff_t row)
{
    return row / job->inner * job->from_block + row % job->inner * job->from_row + job->skip;
}

static inline ptrdiff_t logsig_map_to(const logsig_map_rows *job, ptrdiff_t row)
{
    return row / job->inner * job->to_block + row % job->inner * job->to_row;
}

static inline void logsig_map_put(const logsig_map_rows *job, ptrdiff_t at, double value)
{
    if (job->single)
        ((float *)job->to)[at] = (float)value;
    else
        ((double *)job->to)[at] = value;
}

/* Numbers of a result that come from the last of the maps. */
static inline ptrdiff_t logsig_map_length(const logsig_map_rows *job)
{
    const ptrdiff_t length = job->n_maps ? job->maps[job->n_maps - 1].rows : job->columns, left = job->width - job->front;
    return length < left ? length : left;
}

static inline void logsig_map_zeros(const logsig_map_rows *job, ptrdiff_t at)
{
    for (ptrdiff_t k = 0; k < job->front && k < job->width; k++) logsig_map_put(job, at + k, 0);
    for (ptrdiff_t k = job->front + logsig_map_length(job); k < job->width; k++) logsig_map_put(job, at + k, 0);
}

static inline void logsig_map_one(const logsig_map_rows *job, ptrdiff_t row, double *room)
{
    const ptrdiff_t from = logsig_map_from(job, row), to = logsig_map_to(job, row), length = logsig_map_length(job);
    double *x = room, *y = room + logsig_map_most(job), value;
    for (ptrdiff_t k = 0; k < job->columns; k++)
        x[k] = job->single ? ((const float *)job->from)[from + k] : ((const double *)job->from)[from + k];
    for (int m = 0; m + 1 < job->n_maps; m++) {
        for (ptrdiff_t k = 0; k < job->maps[m].rows; k++) logsig_mapped(&job->maps[m], x, k, &y[k]);
        double *const last = x;
        x = y;
        y = last;
    }
    for (ptrdiff_t k = 0; k < length; k++) {
        if (job->n_maps)
            logsig_mapped(&job->maps[job->n_maps - 1], x, k, &value);
        else
            value = x[k];
        logsig_map_put(job, to + job->front + k, value);
    }
    logsig_map_zeros(job, to);
}

#if LOGSIG_MAP_LANES > 1

typedef double logsig_eight __attribute__((vector_size(64), aligned(8), may_alias));
typedef float logsig_eight_singles __attribute__((vector_size(32), aligned(4), may_alias));

LOGSIG_MAP_SUMS(logsig_eight, logsig_pairwise_eight, logsig_mapped_eight)

#define LOGSIG_MAP_DEAL(apart, even, odd)                                                   \
    _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++)                                     \
    {                                                                                       \
        if (i & (apart)) continue;                                                          \
        const logsig_eight first = tile[i], second = tile[i + (apart)];                     \
        tile[i] = __builtin_shufflevector(first, second, LOGSIG_MAP_##even);                \
        tile[i + (apart)] = __builtin_shufflevector(first, second, LOGSIG_MAP_##odd);       \
    }
#define LOGSIG_MAP_EVEN_NUMBERS 0, 8, 2, 10, 4, 12, 6, 14
#define LOGSIG_MAP_ODD_NUMBERS 1, 9, 3, 11, 5, 13, 7, 15
#define LOGSIG_MAP_EVEN_PAIRS 0, 1, 4, 5, 8, 9, 12, 13
#define LOGSIG_MAP_ODD_PAIRS 2, 3, 6, 7, 10, 11, 14, 15

/* Rows become columns; logsig_simd.h tells how. */
static inline __attribute__((always_inline)) void logsig_map_transpose(logsig_eight *tile)
{
    LOGSIG_MAP_DEAL(1, EVEN_NUMBERS, ODD_NUMBERS)
    LOGSIG_MAP_DEAL(2, EVEN_PAIRS, ODD_PAIRS)
    LOGSIG_MAP_DEAL(4, EVEN_PAIRS, ODD_PAIRS)
}

/* Where a tile begins: the last one of eight numbers or more ends with them, and shares some with the one before. */
static inline ptrdiff_t logsig_map_tile(ptrdiff_t next, ptrdiff_t count)
{
    return next + 8 <= count ? next : count - 8;
}

static inline __attribute__((always_inline)) void logsig_map_take(const logsig_map_rows *job, const ptrdiff_t *from,
                                                                  logsig_eight *x, const int single)
{
    const float *const floats = job->from;
    const double *const doubles = job->from;
    if (job->columns < 8)
        for (ptrdiff_t k = 0; k < job->columns; k++)
            for (int i = 0; i < 8; i++) ((double *)(x + k))[i] = single ? floats[from[i] + k] : doubles[from[i] + k];
    for (ptrdiff_t next = 0; job->columns >= 8 && next < job->columns; next += 8) {
        const ptrdiff_t k = logsig_map_tile(next, job->columns);
        logsig_eight tile[8];
        _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) tile[i] =
            single ? __builtin_convertvector(*(const logsig_eight_singles *)(floats + from[i] + k), logsig_eight)
                   : *(const logsig_eight *)(doubles + from[i] + k);
        logsig_map_transpose(tile);
        _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) x[k + i] = tile[i];
    }
}

static inline __attribute__((always_inline)) void logsig_map_give(const logsig_map_rows *job, const ptrdiff_t *to,
                                                                  const logsig_map *map, const logsig_eight *x,
                                                                  const int single)
{
    const ptrdiff_t length = logsig_map_length(job);
    logsig_eight tile[8];
    for (ptrdiff_t k = 0; length < 8 && k < length; k++) {
        logsig_mapped_eight(map, x, k, tile);
        for (int i = 0; i < 8; i++) logsig_map_put(job, to[i] + job->front + k, tile[0][i]);
    }
    for (ptrdiff_t next = 0; length >= 8 && next < length; next += 8) {
        const ptrdiff_t k = logsig_map_tile(next, length);
        for (int i = 0; i < 8; i++) logsig_mapped_eight(map, x, k + i, &tile[i]);
        logsig_map_transpose(tile);
        _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++)
        {
            if (single)
                *(logsig_eight_singles *)((float *)job->to + to[i] + job->front + k) =
                    __builtin_convertvector(tile[i], logsig_eight_singles);
            else
                *(logsig_eight *)((double *)job->to + to[i] + job->front + k) = tile[i];
        }
    }
}

static inline void logsig_map_eight(const logsig_map_rows *job, ptrdiff_t row, double *room)
{
    logsig_eight *x = (logsig_eight *)room, *y = x + logsig_map_most(job);
    ptrdiff_t from[8], to[8];
    for (int i = 0; i < 8; i++) {
        from[i] = logsig_map_from(job, row + i);
        to[i] = logsig_map_to(job, row + i);
    }
    if (job->single)
        logsig_map_take(job, from, x, 1);
    else
        logsig_map_take(job, from, x, 0);
    const logsig_map *map = job->maps;
    for (; map + 1 < job->maps + job->n_maps; map++) {
        for (ptrdiff_t k = 0; k < map->rows; k++) logsig_mapped_eight(map, x, k, &y[k]);
        logsig_eight *const last = x;
        x = y;
        y = last;
    }
    if (job->single)
        logsig_map_give(job, to, map, x, 1);
    else
        logsig_map_give(job, to, map, x, 0);
    for (int i = 0; i < 8; i++) logsig_map_zeros(job, to[i]);
}
#endif

/* Rows row ... end - 1, in order. */
static inline void logsig_map_some(const logsig_map_rows *job, ptrdiff_t row, ptrdiff_t end, double *room)
{
#if LOGSIG_MAP_LANES > 1
    if (job->n_maps && logsig_map_most(job) <= LOGSIG_MAP_COLUMNS)
        for (; row + 8 <= end; row += 8) logsig_map_eight(job, row, room);
#endif
    for (; row < end; row++) logsig_map_one(job, row, room);
}

#endif
