/* Linear maps of rows by tables, in double precision, with the bits that numpy has. */
#ifndef LOGSIG_MAPS_H
#define LOGSIG_MAPS_H

#include "logsig_path_call.h"

static inline double logsig_term(const logsig_map *map, const double *x, ptrdiff_t entry)
{
    return x[map->indices[entry]] * map->coefficients[entry];
}

/* numpy's pairwise sum of the terms of `count` entries. */
static inline double logsig_pairwise(const logsig_map *map, const double *x, ptrdiff_t first, ptrdiff_t count)
{
    if (count > 128) {
        const ptrdiff_t half = count / 2 - count / 2 % 8;
        return logsig_pairwise(map, x, first, half) + logsig_pairwise(map, x, first + half, count - half);
    }
    double sum = 0;
    ptrdiff_t entry = first;
    if (count >= 8) {
        double part[8] = {0};
        for (; entry + 8 <= first + count; entry += 8)
            for (int i = 0; i < 8; i++)
                part[i] = entry == first ? logsig_term(map, x, entry + i) : part[i] + logsig_term(map, x, entry + i);
        sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    }
    for (; entry < first + count; entry++) sum += logsig_term(map, x, entry);
    return sum;
}

/* Number `row` of the image of x. */
static inline double logsig_mapped(const logsig_map *map, const double *x, ptrdiff_t row)
{
    const ptrdiff_t first = map->starts[row], count = map->starts[row + 1] - first;
    const double sum = count ? logsig_term(map, x, first) : 0;
    return count > 1 ? sum + logsig_pairwise(map, x, first + 1, count - 1) : sum;
}

#endif
