/* What the functions of conversions are called with, for logsig_series.h; whether rows are of float, and which series. */
#ifndef LOGSIG_SERIES_CALL_H
#define LOGSIG_SERIES_CALL_H

#include "logsig_path_call.h"

/* y, or for a gradient d_y and d_x, whose rows are those of y and x; see logsig_series.h for maps. */
typedef struct {
    int logarithm, single, n_maps, scalar_term;
    const logsig_map *maps;
    const void *x, *d_y;
    void *out;
    ptrdiff_t x_stride, d_y_stride, out_stride;
} logsig_series_call;

#endif
