/* Rows through maps (logsig_maps.h) in several threads. */
#ifndef LOGSIG_MAP_ROWS_H
#define LOGSIG_MAP_ROWS_H

#include "logsig_maps.h"
#include "logsig_rows.h"

LOGSIG_NOINLINE void logsig_map_blocks(const void *given, logsig_vec *frame, ptrdiff_t block, ptrdiff_t end)
{
    const logsig_map_rows *const job = given;
    logsig_map_some(job, block * job->inner, end * job->inner, (double *)frame);
}

LOGSIG_NOINLINE int logsig_run_maps(const logsig_map_rows *job, ptrdiff_t blocks, int n_jobs)
{
    const size_t bytes = (size_t)logsig_map_room(job, blocks * job->inner) * sizeof(double);
    return logsig_share(job, logsig_map_blocks, (int)(bytes / sizeof(logsig_vec) + 1), blocks, n_jobs);
}

/* single: rows are of float; scalar: 1: rows begin with a number for the empty word, which is passed over; 2: results do, and it
 * is zero; 3: both. */
LOGSIG_UNUSED static int logsig_change_rows(const void *from, void *to, ptrdiff_t from_stride, ptrdiff_t to_stride,
                                            int single, const logsig_map *maps, int n_maps, int scalar, ptrdiff_t batch,
                                            int n_jobs)
{
    const ptrdiff_t front = scalar >> 1 & 1;
    const logsig_map_rows job = {.maps = maps, .n_maps = n_maps, .single = single, .skip = scalar & 1,
                                 .columns = maps[0].columns, .front = front, .width = front + maps[n_maps - 1].rows,
                                 .from = from, .to = to, .inner = 1, .from_block = from_stride, .to_block = to_stride};
    return logsig_run_maps(&job, batch, n_jobs);
}

#endif
