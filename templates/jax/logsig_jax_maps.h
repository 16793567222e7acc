/* Linear maps of rows, for XLA: in double precision, rounded once, with sums in the order of the same functions on arrays.
 * Nothing of a problem but the attributes of the call is needed. */
#ifndef LOGSIG_JAX_MAPS_H
#define LOGSIG_JAX_MAPS_H

#include "logsig_jax.h"
#include "logsig_maps.h"

enum { LOGSIG_MOST_MAPS = 2 };

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
    for (int64_t k = 0; k < count; k++)
        if (logsig_read_map(frame, (char)('0' + k), &maps[k])) return logsig_invalid(frame, "A map is missing.");
    const logsig_map_rows job = {.maps = maps, .n_maps = (int)count, .single = in->dtype == XLA_FFI_DataType_F32, .skip = skip,
                                 .columns = width - skip, .front = front, .width = to, .from = in->data, .to = out->data,
                                 .inner = 1, .from_block = width, .to_block = to};
    const int64_t rows = logsig_count(out->dims, out->rank - 1);
    double *const room = malloc((size_t)(logsig_map_room(&job, rows) + 1) * sizeof(double));
    if (!room) return logsig_no_memory(frame);
    logsig_map_some(&job, 0, rows, room);
    free(room);
    return NULL;
}

#endif
