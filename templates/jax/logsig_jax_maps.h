/* Linear maps of rows and power series of expanded coordinates, for XLA: in double precision, rounded once, with sums in the
 * order of the same functions on arrays. Nothing of a problem but the attributes of the call is needed. */
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

/* ---- linear maps ----------------------------------------------------------------------------------------------- */

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

/* ---- power series ---------------------------------------------------------------------------------------------- */

/* Words of length 1 ... k; words of length k begin at starts[k - 1]. */
typedef struct {
    int64_t dimension, degree;
    int64_t starts[65];
    const double *coefficients; /* of x, x^2, ... from the second on */
} logsig_series;

/* Stage k of Horner's scheme, x (c_{k+1} + stage k+1), up to length degree - k; below: stage k + 1. */
static void logsig_stage(const logsig_series *series, int64_t k, const double *x, const double *below, double *stage)
{
    const int64_t longest = series->degree - k;
    for (int64_t i = 0; i < series->starts[longest]; i++) stage[i] = series->coefficients[k + 1] * x[i];
    for (int64_t head = 1; head < longest; head++)
        for (int64_t tail = 1; head + tail <= longest; tail++) {
            const int64_t rights = series->starts[tail] - series->starts[tail - 1];
            const double *const left = x + series->starts[head - 1], *const right = below + series->starts[tail - 1];
            double *const to = stage + series->starts[head + tail - 1];
            for (int64_t i = 0; i < series->starts[head] - series->starts[head - 1]; i++)
                for (int64_t j = 0; j < rights; j++) to[i * rights + j] += left[i] * right[j];
        }
}

/* The form on x and, in `form`, on the stage below that `form` on stage k induces. */
static void logsig_pull_stage(const logsig_series *series, int64_t k, const double *x, const double *below, double *form,
                              double *room, double *pulled)
{
    const int64_t longest = series->degree - k;
    for (int64_t i = 0; i < series->starts[longest]; i++) pulled[i] += series->coefficients[k + 1] * form[i];
    memset(room, 0, (size_t)series->starts[longest] * sizeof(double));
    for (int64_t head = 1; head < longest; head++)
        for (int64_t tail = 1; head + tail <= longest; tail++) {
            const int64_t rights = series->starts[tail] - series->starts[tail - 1];
            const double *const right = below + series->starts[tail - 1], *const left = x + series->starts[head - 1];
            const double *const from = form + series->starts[head + tail - 1];
            double *const to_left = pulled + series->starts[head - 1], *const to_right = room + series->starts[tail - 1];
            for (int64_t i = 0; i < series->starts[head] - series->starts[head - 1]; i++) {
                double sum = 0;
                for (int64_t j = 0; j < rights; j++) {
                    sum += from[i * rights + j] * right[j];
                    to_right[j] += from[i * rights + j] * left[i];
                }
                to_left[i] += sum;
            }
        }
    memcpy(form, room, (size_t)series->starts[longest - 1] * sizeof(double));
}

/* Rows of expanded coordinates without scalar term: a power series of each, or with two operands, a form on the series and the
 * coordinates, the form on the coordinates that it induces. The attribute "coefficients" has those of 1, x, x^2, ... */
static XLA_FFI_Error *logsig_run_series(XLA_FFI_CallFrame *frame)
{
    if (logsig_asked(frame)) return NULL;
    const int backward = frame->args.size == 2;
    const XLA_FFI_Buffer *const in = logsig_argument(frame, backward), *const out = logsig_result(frame, 0);
    const XLA_FFI_Array *const given = logsig_attribute(frame, "coefficients", XLA_FFI_AttrType_ARRAY);
    logsig_series series = {logsig_integer(frame, "dimension"), logsig_integer(frame, "degree"), {0}, NULL};
    if (!given || series.degree < 1 || series.degree > 64 || (int64_t)given->size != series.degree + 1)
        return logsig_invalid(frame, "Wrong coefficients.");
    series.coefficients = given->data;
    int64_t words = 1;
    for (int64_t k = 1; k <= series.degree; k++)
        series.starts[k] = series.starts[k - 1] + (words *= series.dimension);
    const int64_t width = series.starts[series.degree], rank = out->rank - 1, rows = logsig_count(out->dims, rank);
    if (in->dims[rank] != width) return logsig_invalid(frame, "Wrong number of coordinates.");
    double *const numbers = malloc((size_t)(series.degree + 5) * width * sizeof(double));
    if (!numbers) return logsig_no_memory(frame);
    double *const x = numbers, *const form = x + width, *const room = form + width, *const pulled = room + width;
    double *const stages = pulled + width; /* stage k at stages + k * width; that of the degree is empty */
    for (int64_t row = 0; row < rows; row++) {
        const int64_t from = logsig_member(in->dims, out->dims, rank, row) * width;
        for (int64_t k = 0; k < width; k++) x[k] = logsig_number(in, from + k);
        for (int64_t k = series.degree - 1; k >= backward; k--)
            logsig_stage(&series, k, x, stages + (k + 1) * width, stages + k * width);
        if (backward) {
            const XLA_FFI_Buffer *const outer = logsig_argument(frame, 0);
            const int64_t at = logsig_member(outer->dims, out->dims, rank, row) * width;
            for (int64_t k = 0; k < width; k++) form[k] = logsig_number(outer, at + k);
            memset(pulled, 0, (size_t)width * sizeof(double));
            for (int64_t k = 0; k < series.degree; k++)
                logsig_pull_stage(&series, k, x, stages + (k + 1) * width, form, room, pulled);
        }
        const double *const result = backward ? pulled : stages;
        for (int64_t k = 0; k < width; k++) logsig_put(out, row * width + k, result[k]);
    }
    free(numbers);
    return NULL;
}

#endif
