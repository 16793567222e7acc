/* Streams: a warp takes 32 paths, a thread carries the log-signature of one of them, and every step has a row.
 *
 * The rows of a path follow one another in global memory. So do those of GROUP steps in shared memory, where each thread
 * has them for its path: a span. The warp moves spans path by path, neighbouring threads neighbouring numbers, about 32
 * or more at a time. Backward, the span of the steps before is on its way while this one is used. Beyond its end a path
 * stands still: its last row is repeated, and what comes back for those rows is added up.
 */
#ifndef LOGSIG_STREAMS_CUH
#define LOGSIG_STREAMS_CUH

#include "logsig_walks.cuh"

/* Where the slots of this thread are: STRIDE numbers, at the end of its warp's part of the shared memory. */
template <int STRIDE> LOGSIG_DEVICE volatile logsig_real *logsig_slots(int warp_bytes)
{
    unsigned char *const end = memory + (threadIdx.x / LOGSIG_WARP + 1) * warp_bytes;
    return (volatile logsig_real *)end - (LOGSIG_WARP - threadIdx.x % LOGSIG_WARP) * STRIDE;
}

/* Stores the first `columns` numbers of the spans of `rows` paths. COLUMNS: how many that are nearly always. */
template <int COLUMNS, int STRIDE>
LOGSIG_DEVICE void logsig_give_spans(int lane, logsig_real *to, long long stride, const volatile logsig_real *from,
                                     int columns, int rows)
{
    const int together = 4;
    to += lane;
    from += lane;
    if (columns == COLUMNS && rows == LOGSIG_WARP) {
#pragma unroll 2
        for (int r = 0; r < LOGSIG_WARP; r += together) {
            logsig_real *row[together];
#pragma unroll
            for (int i = 0; i < together; i++, to += stride) row[i] = to;
#pragma unroll
            for (int c = 0; c < COLUMNS; c += LOGSIG_WARP)
                if (c + LOGSIG_WARP <= COLUMNS || c + lane < COLUMNS) {
                    logsig_real x[together];
#pragma unroll
                    for (int i = 0; i < together; i++) x[i] = from[(r + i) * STRIDE + c];
#pragma unroll
                    for (int i = 0; i < together; i++) row[i][c] = x[i];
                }
        }
        return;
    }
#pragma unroll 1
    for (int r = 0; r < rows; r++, to += stride)
#pragma unroll 1
        for (int c = 0; c + lane < columns; c += LOGSIG_WARP) to[c] = from[r * STRIDE + c];
}

/* Asks for the first `columns` numbers of the spans of `rows` paths; the caller commits. */
template <int COLUMNS, int STRIDE>
LOGSIG_DEVICE void logsig_ask_spans(int lane, volatile logsig_real *to, const logsig_real *from, long long stride,
                                    int columns, int rows)
{
    from += lane;
    to += lane;
    const logsig_tile_part target = logsig_part_of_tile(to);
    if (columns == COLUMNS && rows == LOGSIG_WARP) {
#pragma unroll 8
        for (int r = 0; r < LOGSIG_WARP; r++, from += stride)
#pragma unroll
            for (int c = 0; c < COLUMNS; c += LOGSIG_WARP)
                if (c + LOGSIG_WARP <= COLUMNS || c + lane < COLUMNS)
                    logsig_copy_to(target, r * STRIDE + c, from + c);
        return;
    }
#pragma unroll 1
    for (int r = 0; r < rows; r++, from += stride)
#pragma unroll 1
        for (int c = 0; c + lane < columns; c += LOGSIG_WARP) logsig_copy_to(target, r * STRIDE + c, from + c);
}

/* Adds a row of global memory to that of each of `rows` paths. */
template <int SIZE, int STRIDE>
LOGSIG_DEVICE void logsig_add_rows(int lane, volatile logsig_real *to, const logsig_real *from, long long stride, int rows)
{
    const int together = 16; /* that many are on their way at once */
    for (int first = 0; first < rows; first += together)
#pragma unroll 1
        for (int c = lane; c < SIZE; c += LOGSIG_WARP) {
            logsig_real x[16];
#pragma unroll
            for (int i = 0; i < together; i++) x[i] = first + i < rows ? from[(first + i) * stride + c] : 0;
#pragma unroll
            for (int i = 0; i < together; i++) {
                volatile logsig_real *const sum = to + (first + i) * STRIDE + c;
                if (first + i < rows) *sum = *sum + x[i];
            }
        }
}

/* Tells the second-level cache that a row of this thread's path will be wanted. */
template <int SIZE> LOGSIG_DEVICE void logsig_foresee(const logsig_real *row)
{
#ifdef __CUDA_ARCH__
    const int line = 128 / (int)sizeof(logsig_real);
#pragma unroll 4
    for (int c = 0; c < SIZE; c += line) asm volatile("prefetch.global.L2 [%0];" ::"l"(row + c));
#else
    (void)row;
#endif
}

/* What a warp knows of its streams; pointers are to the first of its paths. */
struct logsig_stream_rows {
    const logsig_real *d_out;
    long long d_out_stride;
    const logsig_real *stream;
    long long stream_stride;
    const logsig_real *initial; /* or null */
    long long initial_stride;
    int rows; /* paths there are */
};

/* Takes the log-signature w, which holds what came before, over all steps, and writes it after each of them.
 *
 * Stream: SIZE, DIMENSION, CHUNK, STRIDE, GROUP, SPAN (distance of spans in shared memory), LOCAL: whether w is in
 * registers, rather than the span itself, of one step then; the function step. length: of `out`, not of a path. */
template <class Stream, class W>
LOGSIG_DEVICE void logsig_stream_forward(int lane, W &w, volatile logsig_real *chunks, volatile logsig_real *spans,
                                         const logsig_real *path, const volatile logsig_paths *paths, long long length,
                                         logsig_real *out, long long out_stride, int rows)
{
    const int d = Stream::DIMENSION, chunk = Stream::CHUNK, stride = Stream::STRIDE, size = Stream::SIZE;
    const int group = Stream::GROUP;
    const long long steps = paths->points[lane] - 1;
    logsig_real here[Stream::DIMENSION];
#pragma unroll
    for (int k = 0; k < d; k++) here[k] = steps > 0 ? path[paths->begin[lane] + k] : 0;
    volatile logsig_real *now = chunks, *next = chunks + LOGSIG_WARP * stride;
    logsig_ask<Stream::DIMENSION, Stream::CHUNK, Stream::STRIDE>(lane, now, path, paths, 1);
    for (long long t = 0; t < length - 1; t += chunk) {
        logsig_ask<Stream::DIMENSION, Stream::CHUNK, Stream::STRIDE>(lane, next, path, paths, t + 1 + chunk);
        logsig_await_chunk();
        const volatile logsig_real *x = now + lane * stride;
        const int here_steps = length - 1 - t < chunk ? (int)(length - 1 - t) : chunk;
#pragma unroll 1
        for (int s = 0; s < here_steps; s += group) {
            const int count = here_steps - s < group ? here_steps - s : group;
#pragma unroll 1
            for (int g = 0; g < count; g++, x += d) {
                if (t + s + g < steps) {
                    logsig_real v[Stream::DIMENSION];
#pragma unroll
                    for (int k = 0; k < d; k++) {
                        const logsig_real there = x[k];
                        v[k] = there - here[k];
                        here[k] = there;
                    }
                    Stream::step(w, v);
                }
                if constexpr (Stream::LOCAL != 0) {
                    volatile logsig_real *const row = spans + lane * Stream::SPAN + g * size;
#pragma unroll
                    for (int k = 0; k < size; k++) row[k] = w[k];
                }
            }
            __syncwarp();
            logsig_give_spans<Stream::GROUP * Stream::SIZE, Stream::SPAN>(lane, out + (t + s) * size, out_stride, spans,
                                                                        count * size, rows);
            __syncwarp();
        }
        volatile logsig_real *const used = now;
        now = next;
        next = used;
    }
}

/* Asks for what the steps from `from` on need, `count` of them: the rows of the stream before each, as far as they are
 * read, and, where the derivative is in registers, their rows of d_out. */
template <class Stream>
LOGSIG_DEVICE void logsig_ask_group(int lane, volatile logsig_real *d_spans, volatile logsig_real *spans,
                                    const logsig_stream_rows &given, long long from, int count)
{
    const int size = Stream::SIZE, prefix = Stream::PREFIX;
    if constexpr (Stream::LOCAL != 0)
        logsig_ask_spans<Stream::GROUP * Stream::SIZE, Stream::D_SPAN>(
            lane, d_spans, given.d_out + from * size, given.d_out_stride, count * size, given.rows);
    if constexpr (Stream::PREFIX != 0) {
        const int columns = (count - 1) * size + prefix;
        if (from > 0) {
            logsig_ask_spans<(Stream::GROUP - 1) * Stream::SIZE + Stream::PREFIX, Stream::SPAN>(
                lane, spans, given.stream + (from - 1) * size, given.stream_stride, columns, given.rows);
            return;
        }
        if (given.initial)
            logsig_ask_spans<Stream::PREFIX, Stream::SPAN>(lane, spans, given.initial, given.initial_stride, prefix,
                                                           given.rows);
        else
            for (int k = 0; k < prefix; k++) spans[lane * Stream::SPAN + k] = 0;
        logsig_ask_spans<Stream::GROUP * Stream::SIZE, Stream::SPAN>(lane, spans + size, given.stream, given.stream_stride,
                                                                   columns - size, given.rows);
    }
}

/* Takes the derivative dw, which is zero, back over all steps; the rows of d_out are added to it on the way.
 *
 * Stream: as above; PREFIX: columns of a row that are read; D_SPAN: distance of spans of d_out. Where LOCAL, dw is in
 * registers and d_spans has room for two groups of spans of d_out; else d_spans are the rows of dw. spans: room for two
 * groups of spans of the stream. */
template <class Stream, class DW>
LOGSIG_DEVICE void logsig_stream_backward(int lane, DW &dw, volatile logsig_real *chunks, volatile logsig_real *d_spans,
                                          volatile logsig_real *spans, const logsig_stream_rows &given,
                                          const logsig_real *path, logsig_real *d_path,
                                          const volatile logsig_paths *paths, long long length)
{
    const int d = Stream::DIMENSION, chunk = Stream::CHUNK, stride = Stream::STRIDE, size = Stream::SIZE;
    const int group = Stream::GROUP;
    const long long steps = paths->points[lane] - 1;
    logsig_real there[Stream::DIMENSION], after[Stream::DIMENSION];
#pragma unroll
    for (int k = 0; k < d; k++) {
        there[k] = steps > 0 ? path[paths->begin[lane] + steps * d + k] : 0;
        after[k] = 0;
    }
    volatile logsig_real *now = chunks, *next = chunks + LOGSIG_WARP * stride;
    volatile logsig_real *d_span = d_spans, *d_span_next = d_spans + LOGSIG_WARP * Stream::D_SPAN;
    volatile logsig_real *span = spans, *span_next = spans + LOGSIG_WARP * Stream::SPAN;
    long long t = length > 1 ? (length - 2) / chunk * chunk : -1;
    int here_steps = (int)(length - 1 - t), s = (here_steps - 1) / group * group;
    if (t >= 0) {
        logsig_ask_group<Stream>(lane, d_span, span, given, t + s, here_steps - s);
        logsig_ask<Stream::DIMENSION, Stream::CHUNK, Stream::STRIDE>(lane, now, path, paths, t);
    }
    for (; t >= 0; t -= chunk) {
        bool wanted = t > 0; /* the points of the chunk before */
        volatile logsig_real *x = now + lane * stride + (here_steps - 1) * d;
#pragma unroll 1
        for (; s >= 0; s -= group) {
            const int count = here_steps - s < group ? here_steps - s : group;
            if (t + s > 0) logsig_ask_group<Stream>(lane, d_span_next, span_next, given, t + s - group, group);
            if (wanted)
                logsig_ask<Stream::DIMENSION, Stream::CHUNK, Stream::STRIDE>(lane, next, path, paths, t - chunk);
            else
                logsig_commit();
            wanted = false;
            logsig_await_chunk();
            if constexpr (Stream::LOCAL == 0) {
                logsig_add_rows<Stream::SIZE, Stream::D_SPAN>(lane, d_spans, given.d_out + (t + s) * size,
                                                              given.d_out_stride, given.rows);
                if (t + s > 0 && lane < given.rows)
                    logsig_foresee<Stream::SIZE>(given.d_out + lane * given.d_out_stride + (t + s - 1) * size);
                __syncwarp();
            }
#pragma unroll 1
            for (int g = count - 1; g >= 0; g--, x -= d) {
                if constexpr (Stream::LOCAL != 0) {
                    const volatile logsig_real *const row = d_span + lane * Stream::D_SPAN + g * size;
#pragma unroll
                    for (int k = 0; k < size; k++) dw[k] = dw[k] + row[k];
                }
                if (t + s + g < steps) {
                    logsig_row w = span + lane * Stream::SPAN + g * size;
                    logsig_real v[Stream::DIMENSION], dv[Stream::DIMENSION];
#pragma unroll
                    for (int k = 0; k < d; k++) {
                        const logsig_real here = x[k];
                        v[k] = there[k] - here;
                        there[k] = here;
                    }
                    Stream::back(dw, w, v, dv);
#pragma unroll
                    for (int k = 0; k < d; k++) {
                        x[k] = dv[k] - after[k];
                        after[k] = dv[k];
                    }
                }
            }
            __syncwarp();
            volatile logsig_real *const d_used = d_span, *const used = span;
            d_span = d_span_next;
            d_span_next = d_used;
            span = span_next;
            span_next = used;
        }
        logsig_give<Stream::DIMENSION, Stream::CHUNK, Stream::STRIDE>(lane, d_path, now, paths, t);
        __syncwarp();
        volatile logsig_real *const used = now;
        now = next;
        next = used;
        here_steps = chunk;
        s = chunk - group;
    }
    if (steps >= 0) {
#pragma unroll
        for (int k = 0; k < d; k++) d_path[paths->d_begin[lane] + k] = 0 - after[k];
    }
}

/* The derivatives dw of all paths become rows of d_initial; spans: room for a row of each. */
template <int SIZE, int SPAN, class DW>
LOGSIG_DEVICE void logsig_give_local(int lane, logsig_real *to, long long stride, const DW &dw, volatile logsig_real *spans,
                                     int rows)
{
#pragma unroll
    for (int k = 0; k < SIZE; k++) spans[lane * SPAN + k] = dw[k];
    __syncwarp();
    logsig_give_spans<SIZE, SPAN>(lane, to, stride, spans, SIZE, rows);
}

#endif
