/* Linear maps of rows, for XLA: in double precision, rounded once, with sums in the order of the same functions on arrays.
 * Nothing of a problem but the attributes of the call is needed. */
#ifndef LOGSIG_JAX_MAPS_H
#define LOGSIG_JAX_MAPS_H

#include "logsig_jax.h"
#include "logsig_maps.h"

static double logsig_number(const XLA_FFI_Buffer *buffer, int64_t place)
{
    return buffer->dtype == XLA_FFI_DataType_F64 ? ((const double *)buffer->data)[place]
                                                 : ((const float *)buffer->data)[place];
}

static void logsig_put(const XLA_FFI_Buffer *buffer, int64_t place, double value)
{
    if (buffer->dtype == XLA_FFI_DataType_F64)
        ((double *)buffer->data)[place] = value;
    else
        ((float *)buffer->data)[place] = (float)value;
}

enum { LOGSIG_MOST_MAPS = 2 };

static void logsig_apply_map(const logsig_map *map, const double *x, double *y)
{
    for (ptrdiff_t k = 0; k < map->rows; k++) y[k] = logsig_mapped(map, x, k);
}

/* The map in the attributes whose names end with a digit. */
static int logsig_read_map(const XLA_FFI_CallFrame *frame, char digit, logsig_map *map)
{
    char starts[] = "starts?", indices[] = "indices?", coefficients[] = "coefficients?", columns[] = "columns?";
    starts[sizeof starts - 2] = indices[sizeof indices - 2] = digit;
    coefficients[sizeof coefficients - 2] = columns[sizeof columns - 2] = digit;
    const XLA_FFI_Array *const found[] = {logsig_attribute(frame, starts, XLA_FFI_AttrType_ARRAY),
                                          logsig_attribute(frame, indices, XLA_FFI_AttrType_ARRAY),
                                          logsig_attribute(frame, coefficients, XLA_FFI_AttrType_ARRAY)};
    if (!found[0] || !found[1] || !found[2]) return EINVAL;
    map->starts = found[0]->data;
    map->indices = found[1]->data;
    map->coefficients = found[2]->data;
    map->rows = (ptrdiff_t)found[0]->size - 1;
    map->columns = logsig_integer(frame, columns);
    return 0;
}

/* Maps one after the other, of what follows `skip` numbers of a row; the result comes after `front` zeros, and is filled up
 * with zeros or cut. */
static XLA_FFI_Error *logsig_run_map(XLA_FFI_CallFrame *frame)
{
    if (logsig_asked(frame)) return NULL;
    const XLA_FFI_Buffer *const in = logsig_argument(frame, 0), *const out = logsig_result(frame, 0);
    const int64_t count = logsig_integer(frame, "maps"), skip = logsig_integer(frame, "skip");
    const int64_t front = logsig_integer(frame, "front");
    const int64_t width = in->dims[in->rank - 1], to = out->dims[out->rank - 1];
    logsig_map maps[LOGSIG_MOST_MAPS];
    if (count > LOGSIG_MOST_MAPS) return logsig_invalid(frame, "Too many maps.");
    int64_t room = width > to ? width : to;
    for (int64_t k = 0; k < count; k++) {
        if (logsig_read_map(frame, (char)('0' + k), &maps[k])) return logsig_invalid(frame, "A map is missing.");
        if (maps[k].rows > room) room = maps[k].rows;
    }
    const int64_t rows = logsig_count(out->dims, out->rank - 1);
    double *const numbers = malloc((size_t)(2 * room + 1) * sizeof(double));
    if (!numbers) return logsig_no_memory(frame);
    for (int64_t row = 0; row < rows; row++) {
        double *x = numbers, *y = numbers + room;
        int64_t length = width - skip;
        for (int64_t k = 0; k < length; k++) x[k] = logsig_number(in, row * width + skip + k);
        for (int64_t k = 0; k < count; k++) {
            logsig_apply_map(&maps[k], x, y);
            length = maps[k].rows;
            double *const last = x;
            x = y;
            y = last;
        }
        for (int64_t k = 0; k < to; k++)
            logsig_put(out, row * to + k, k < front || k - front >= length ? 0.0 : x[k - front]);
    }
    free(numbers);
    return NULL;
}

#endif
