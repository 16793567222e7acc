/* Log-signatures of long intervals, and their gradients, as products of blocks of their paths.
 *
 * A block is request->block steps, counted from the beginning of a path. Blocks, products of two, of four, ... are the nodes
 * of a tree. A long interval is a few steps up to a block, then the largest nodes that fit between its ends, then a few steps:
 * its factors, which are multiplied from the first to the last. They follow from the interval alone, and a node from the
 * path alone, so that no bit of a result depends on other intervals, other paths, or threads. Nodes that no interval
 * needs are not computed.
 *
 * Backward, derivatives by factors are found from the last to the first. Those by a node are added from the first interval
 * of a path to its last, then handed down to its halves; those by steps are added to the path in the same order, those by
 * blocks after them.
 */
#ifndef LOGSIG_BLOCKS_H
#define LOGSIG_BLOCKS_H

#include <stdint.h>

#include "logsig_intervals.h"

enum { LOGSIG_MOST_LEVELS = 64, LOGSIG_MOST_FACTORS = 128 };

/* A node of the tree, `from`-th of its level; or, with level -1, `points` points from point `from` on. */
typedef struct {
    int level;
    ptrdiff_t from, points;
} logsig_factor;

/* The nodes that the long intervals of some paths need; rows of the highest level first, blocks last. The halves of the
 * m-th row of a level are rows 2 m and 2 m + 1 of the level below. */
typedef struct {
    const logsig_request *request;
    ptrdiff_t first, paths; /* the paths */
    ptrdiff_t low, high;    /* the blocks low ... high - 1 are those of all long intervals */
    int levels, most;       /* most: factors of an interval */
    ptrdiff_t nodes[LOGSIG_MOST_LEVELS];    /* where the places of a level begin */
    ptrdiff_t at[LOGSIG_MOST_LEVELS], rows; /* the first row of a level; how many rows there are */
    ptrdiff_t *places;      /* of each path's nodes of each level: the row, or -1 */
    ptrdiff_t *starts, *d_starts; /* where blocks begin in the array of paths, and in that of derivatives */
    logsig_real *row, *d_row;     /* the rows, and room for as many factors as there are steps */
} logsig_tree;

/* Some long intervals; the k-th in the order of their factors, the most first, and their factors that are steps. */
typedef struct {
    ptrdiff_t room, count, stretches;
    ptrdiff_t *items, *places;      /* of each interval, in the order of the call: its number, its k */
    ptrdiff_t *factors;             /* factor r of interval k is row factors[r * room + k] */
    ptrdiff_t *starts, *lengths;    /* of steps, in the order of their points */
    logsig_ranked *order, *ranked;  /* of intervals; of steps, whose item is a place in `factors` */
    ptrdiff_t *from;                /* where steps begin in the array of paths, by that place */
} logsig_chains;

/* ---- the tree -------------------------------------------------------------------------------------------------- */

/* The factors of a long interval; none of another one. */
LOGSIG_NOINLINE int logsig_factors(const logsig_request *request, ptrdiff_t item, logsig_factor *factors)
{
    ptrdiff_t from;
    const ptrdiff_t block = request->block, points = logsig_interval(request, item, &from), last = from + points - 1;
    if (!logsig_is_long(request, points)) return 0;
    const ptrdiff_t end = last / block;
    ptrdiff_t at = (from + block - 1) / block;
    int count = 0;
    if (at * block > from) factors[count++] = (logsig_factor){-1, from, at * block - from + 1};
    for (int level; at < end; at += (ptrdiff_t)1 << level) {
        for (level = 0; !(at >> level & 1) && at + ((ptrdiff_t)2 << level) <= end;) level++;
        factors[count++] = (logsig_factor){level, at >> level, 0};
    }
    if (last > end * block) factors[count++] = (logsig_factor){-1, end * block, last - end * block + 1};
    return count;
}

/* How many nodes of a level a path may need. */
LOGSIG_INLINE ptrdiff_t logsig_nodes_of(const logsig_tree *tree, int level)
{
    return ((tree->high - 1) >> level) - (tree->low >> level) + 1;
}

LOGSIG_INLINE ptrdiff_t *logsig_place(const logsig_tree *tree, int level, ptrdiff_t path, ptrdiff_t number)
{
    return tree->places + tree->nodes[level] + (path - tree->first) * logsig_nodes_of(tree, level) + number -
           (tree->low >> level);
}

LOGSIG_INLINE ptrdiff_t logsig_rows_at(const logsig_tree *tree, int level)
{
    return (level ? tree->at[level - 1] : tree->rows) - tree->at[level];
}

/* Finds out which blocks there are to be, and makes a place for each node; levels: none if no interval is long. */
LOGSIG_NOINLINE int logsig_open_tree(logsig_tree *tree)
{
    const logsig_request *const request = tree->request;
    const ptrdiff_t block = request->block, begin = tree->first * request->per_path;
    ptrdiff_t count = 0;
    tree->low = PTRDIFF_MAX;
    for (ptrdiff_t item = begin, from; item < begin + tree->paths * request->per_path; item++) {
        const ptrdiff_t points = logsig_interval(request, item, &from);
        if (!logsig_is_long(request, points)) continue;
        const ptrdiff_t low = (from + block - 1) / block, high = (from + points - 1) / block;
        if (low < tree->low) tree->low = low;
        if (high > tree->high) tree->high = high;
    }
    for (; tree->low < tree->high && (tree->high - tree->low) >> tree->levels; tree->levels++) {
        tree->nodes[tree->levels] = count;
        count += tree->paths * logsig_nodes_of(tree, tree->levels);
    }
    tree->places = malloc((size_t)(count + 1) * sizeof(ptrdiff_t));
    for (ptrdiff_t k = 0; tree->places && k < count; k++) tree->places[k] = -1;
    return tree->places ? 0 : ENOMEM;
}

/* Numbers the nodes that factors are, and what they are made of, from the highest level down. */
LOGSIG_NOINLINE void logsig_number_nodes(logsig_tree *tree)
{
    const logsig_request *const request = tree->request;
    const ptrdiff_t begin = tree->first * request->per_path, wanted = -2;
    logsig_factor factors[LOGSIG_MOST_FACTORS];
    for (ptrdiff_t item = begin; item < begin + tree->paths * request->per_path; item++) {
        const int count = logsig_factors(request, item, factors);
        if (count > tree->most) tree->most = count;
        for (int r = 0; r < count; r++)
            if (factors[r].level >= 0)
                *logsig_place(tree, factors[r].level, item / request->per_path, factors[r].from) = wanted;
    }
    for (int level = tree->levels - 1; level >= 0; level--) {
        ptrdiff_t *const places = tree->places + tree->nodes[level];
        const ptrdiff_t width = logsig_nodes_of(tree, level), above = level + 1 < tree->levels ? tree->at[level + 1] : 0;
        tree->at[level] = tree->rows;
        tree->rows += level + 1 < tree->levels ? 2 * (tree->rows - above) : 0;
        for (ptrdiff_t k = 0; k < tree->paths * width; k++)
            if (places[k] == wanted) places[k] = tree->rows++;
        for (ptrdiff_t k = 0; level && k < tree->paths * width; k++) {
            if (places[k] < 0) continue;
            const ptrdiff_t number = (tree->low >> level) + k % width;
            ptrdiff_t *const halves = logsig_place(tree, level - 1, tree->first + k / width, 2 * number);
            halves[0] = tree->rows + 2 * (places[k] - tree->at[level]);
            halves[1] = halves[0] + 1;
        }
    }
}

/* The rows of all nodes. */
LOGSIG_NOINLINE int logsig_fill_tree(logsig_tree *tree)
{
    const logsig_request *const request = tree->request;
    const logsig_path_call *const call = request->call;
    const ptrdiff_t blocks = logsig_rows_at(tree, 0), size = request->size, step = request->block * request->dimension;
    tree->starts = malloc((size_t)(2 * blocks + 1) * sizeof(ptrdiff_t));
    if (!tree->starts) return ENOMEM;
    tree->d_starts = tree->starts + blocks;
    for (ptrdiff_t path = tree->first; path < tree->first + tree->paths; path++)
        for (ptrdiff_t number = tree->low; number < tree->high; number++) {
            const ptrdiff_t row = *logsig_place(tree, 0, path, number) - tree->at[0];
            if (row < 0) continue;
            tree->starts[row] = logsig_start(call, path) + number * step;
            tree->d_starts[row] = logsig_d_start(call, path) + number * step;
        }
    const logsig_some_paths some = {call->path, 0, request->block + 1, blocks, NULL, tree->starts};
    int error = logsig_walk_some(request, &some, tree->row + tree->at[0] * size, size);
    for (int level = 1; !error && level < tree->levels; level++) {
        const logsig_real *const halves = tree->row + tree->at[level - 1] * size;
        error = ((logsig_combine_fn)request->functions.combine)(halves, 2 * size, halves + size, 2 * size,
                                                                tree->row + tree->at[level] * size, size,
                                                                logsig_rows_at(tree, level), call->n_jobs);
    }
    return error;
}

LOGSIG_NOINLINE void logsig_close_tree(logsig_tree *tree)
{
    free(tree->places);
    free(tree->starts);
    logsig_free_numbers(tree->row);
}

/* ---- factors --------------------------------------------------------------------------------------------------- */

LOGSIG_NOINLINE int logsig_open_chains(logsig_chains *chains, const logsig_tree *tree, ptrdiff_t room)
{
    const ptrdiff_t slots = tree->most * room;
    ptrdiff_t *const numbers = malloc((size_t)(6 * room + 2 * slots + 1) * sizeof(ptrdiff_t));
    chains->room = room;
    chains->items = numbers;
    chains->order = malloc((size_t)(3 * room + 1) * sizeof(logsig_ranked));
    if (!numbers || !chains->order) return ENOMEM;
    chains->places = numbers + room;
    chains->starts = chains->places + room;
    chains->lengths = chains->starts + 2 * room;
    chains->factors = chains->lengths + 2 * room;
    chains->from = chains->factors + slots;
    chains->ranked = chains->order + room;
    return 0;
}

LOGSIG_NOINLINE void logsig_close_chains(logsig_chains *chains)
{
    free(chains->items);
    free(chains->order);
}

/* Takes long intervals from `item` on; returns where to go on. */
LOGSIG_NOINLINE ptrdiff_t logsig_take_chains(logsig_chains *chains, const logsig_tree *tree, ptrdiff_t item)
{
    const logsig_request *const request = tree->request;
    const ptrdiff_t end = (tree->first + tree->paths) * request->per_path;
    logsig_factor factors[LOGSIG_MOST_FACTORS];
    chains->count = chains->stretches = 0;
    for (; item < end && chains->count < chains->room; item++) {
        const int count = logsig_factors(request, item, factors);
        if (!count) continue;
        chains->order[chains->count] = (logsig_ranked){-count, chains->count};
        chains->items[chains->count++] = item;
    }
    qsort(chains->order, (size_t)chains->count, sizeof(logsig_ranked), logsig_is_shorter);
    for (ptrdiff_t k = 0; k < chains->count; k++) {
        const ptrdiff_t own = chains->items[chains->order[k].item], path = own / request->per_path;
        const int count = logsig_factors(request, own, factors);
        chains->places[chains->order[k].item] = k;
        for (int r = 0; r < count; r++) {
            const ptrdiff_t slot = r * chains->room + k, from = factors[r].from;
            if (factors[r].level >= 0) {
                chains->factors[slot] = *logsig_place(tree, factors[r].level, path, from);
                continue;
            }
            chains->from[slot] = logsig_start(request->call, path) + from * request->dimension;
            chains->ranked[chains->stretches++] = (logsig_ranked){factors[r].points, slot};
        }
    }
    qsort(chains->ranked, (size_t)chains->stretches, sizeof(logsig_ranked), logsig_is_shorter);
    for (ptrdiff_t k = 0; k < chains->stretches; k++) {
        const ptrdiff_t slot = chains->ranked[k].item;
        chains->factors[slot] = tree->rows + k;
        chains->starts[k] = chains->from[slot];
        chains->lengths[k] = chains->ranked[k].points;
    }
    return item;
}

/* How many intervals have more than r factors. */
LOGSIG_INLINE ptrdiff_t logsig_longer(const logsig_chains *chains, ptrdiff_t r)
{
    ptrdiff_t count = chains->count;
    while (count && -chains->order[count - 1].points <= r) count--;
    return count;
}

/* Factor r of the first `count` intervals. */
LOGSIG_INLINE logsig_row_array logsig_pick_factors(const logsig_tree *tree, const logsig_chains *chains, ptrdiff_t r,
                                                   ptrdiff_t count, logsig_real *room)
{
    const logsig_row_array rows = {tree->row, tree->request->size};
    return logsig_pick(rows, 0, chains->factors + r * chains->room, 0, count, tree->request->size, room);
}

/* The products of the first factors: those of r + 1 of them are the rows of products + r % layers * room * size. */
LOGSIG_NOINLINE int logsig_multiply(const logsig_tree *tree, const logsig_chains *chains, logsig_real *products,
                                    ptrdiff_t layers, logsig_real *picked)
{
    const logsig_request *const request = tree->request;
    const ptrdiff_t size = request->size, layer = chains->room * size;
    const logsig_some_paths some = {request->call->path, 0, 0, chains->stretches, chains->lengths, chains->starts};
    int error = logsig_walk_some(request, &some, tree->row + tree->rows * size, size);
    logsig_pick_factors(tree, chains, 0, chains->count, products);
    for (ptrdiff_t r = 1, count; !error && (count = logsig_longer(chains, r)); r++) {
        const logsig_row_array right = logsig_pick_factors(tree, chains, r, count, picked);
        error = ((logsig_combine_fn)request->functions.combine)(
            products + (r - 1) % layers * layer, size, right.data, right.stride, products + r % layers * layer, size, count,
            request->call->n_jobs);
    }
    return error;
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

/* The intervals at hand; room: for three rows of each, and for one of the result. */
LOGSIG_NOINLINE int logsig_chains_forward(const logsig_tree *tree, const logsig_chains *chains, logsig_real *room)
{
    const logsig_request *const request = tree->request;
    const logsig_path_call *const call = request->call;
    const ptrdiff_t size = request->size, width = request->width, layer = chains->room * size;
    logsig_real *const found = room + 3 * layer;
    int error = logsig_multiply(tree, chains, room, 2, room + 2 * layer);
    for (ptrdiff_t k = 0; k < chains->count; k++) {
        const ptrdiff_t last = -chains->order[k].points - 1;
        memcpy(found + k * width, room + last % 2 * layer + k * size, (size_t)size * sizeof(logsig_real));
    }
    if (!error && request->map) {
        const logsig_map_rows job = {.from = found, .to = found, .inner = 1, .from_block = width, .to_block = width};
        error = logsig_convert(request, job, chains->count);
    }
    for (ptrdiff_t k = 0; k < chains->count; k++)
        memcpy((logsig_real *)call->out + chains->items[chains->order[k].item] * call->out_stride, found + k * width,
               (size_t)width * sizeof(logsig_real));
    return error;
}

/* ---- backward -------------------------------------------------------------------------------------------------- */

/* From derivatives by rows to derivatives by the points of their steps, at most those of a block: each has room for a
 * block's points at `copies`, and for their derivatives behind all of those. */
LOGSIG_NOINLINE int logsig_steps_back(const logsig_request *request, const ptrdiff_t *starts, const ptrdiff_t *lengths,
                                      ptrdiff_t count, logsig_row_array d_rows, logsig_row_array rows,
                                      logsig_real *copies)
{
    const ptrdiff_t points = request->block + 1, stride = points * request->dimension;
    const logsig_some_paths some = {copies, stride, points, count, lengths, NULL};
    for (ptrdiff_t k = 0; k < count; k++)
        memcpy(copies + k * stride, (const logsig_real *)request->call->path + starts[k],
               (size_t)((lengths ? lengths[k] : points) * request->dimension) * sizeof(logsig_real));
    return logsig_walk_back_some(request, &some, d_rows, rows, copies + count * stride, stride);
}

/* Adds derivatives by factors, interval by interval: by nodes to those of the tree, by steps to those of the path. */
LOGSIG_NOINLINE int logsig_add_factors(logsig_tree *tree, const logsig_chains *chains, const logsig_real *d_factors,
                                       logsig_real *copies)
{
    const logsig_request *const request = tree->request;
    const ptrdiff_t size = request->size, stride = (request->block + 1) * request->dimension;
    const logsig_row_array rows = {tree->row + tree->rows * size, size}, d_rows = {tree->d_row + tree->rows * size, size};
    const logsig_real *const d_copies = copies + chains->stretches * stride;
    memset(tree->d_row + tree->rows * size, 0, (size_t)(chains->stretches * size) * sizeof(logsig_real));
    for (ptrdiff_t i = 0; i < chains->count; i++) {
        const ptrdiff_t k = chains->places[i];
        for (ptrdiff_t r = 0; r < -chains->order[k].points; r++) {
            const ptrdiff_t slot = r * chains->room + k;
            logsig_add_numbers(tree->d_row + chains->factors[slot] * size, d_factors + slot * size, size);
        }
    }
    const int error =
        logsig_steps_back(request, chains->starts, chains->lengths, chains->stretches, d_rows, rows, copies);
    for (ptrdiff_t i = 0; !error && i < chains->count; i++) {
        const ptrdiff_t k = chains->places[i], path = chains->items[i] / request->per_path;
        const ptrdiff_t moved = logsig_d_start(request->call, path) - logsig_start(request->call, path);
        for (ptrdiff_t r = 0; r < -chains->order[k].points; r++) {
            const ptrdiff_t slot = r * chains->room + k, which = chains->factors[slot] - tree->rows;
            if (which >= 0)
                logsig_add_numbers((logsig_real *)request->call->d_path + moved + chains->starts[which],
                               d_copies + which * stride, chains->lengths[which] * request->dimension);
        }
    }
    return error;
}

/* Numbers of room that logsig_chains_back needs for each interval. */
LOGSIG_INLINE ptrdiff_t logsig_chain_numbers(const logsig_tree *tree)
{
    const logsig_request *const request = tree->request;
    return (2 * tree->most + 4) * request->size + request->width + 4 * (request->block + 1) * request->dimension;
}

/* The intervals at hand backward. */
LOGSIG_NOINLINE int logsig_chains_back(logsig_tree *tree, const logsig_chains *chains, logsig_real *room)
{
    const logsig_request *const request = tree->request;
    const logsig_path_call *const call = request->call;
    const ptrdiff_t size = request->size, width = request->width, layer = chains->room * size;
    logsig_real *const products = room, *const d_factors = products + tree->most * layer;
    logsig_real *const picked = d_factors + tree->most * layer, *const d_products = picked + layer;
    logsig_real *const converted = d_products + 2 * layer, *const given = converted + layer;
    logsig_row_array d_out = {given, width};
    int error = logsig_multiply(tree, chains, products, tree->most, picked);
    for (ptrdiff_t k = 0; k < chains->count; k++)
        memcpy(given + k * width,
               (const logsig_real *)call->d_out + chains->items[chains->order[k].item] * call->d_out_stride,
               (size_t)width * sizeof(logsig_real));
    if (!error) error = logsig_in_brackets(request, d_out, 0, chains->count, converted, &d_out);
    for (ptrdiff_t r = tree->most - 1, before = 0, count; !error && r >= 0; r--, before = count) {
        logsig_real *const d_product = r ? d_products + r % 2 * layer : d_factors;
        count = logsig_longer(chains, r);
        for (ptrdiff_t k = before; k < count; k++)
            memcpy(d_product + k * size, d_out.data + k * d_out.stride, (size_t)size * sizeof(logsig_real));
        if (!r || !count) continue;
        const logsig_row_array right = logsig_pick_factors(tree, chains, r, count, picked);
        error = ((logsig_combine_backprop_fn)request->functions.combine_backprop)(
            d_product, size, products + (r - 1) * layer, size, right.data, right.stride,
            r > 1 ? d_products + (r - 1) % 2 * layer : d_factors, size, d_factors + r * layer, size, count, call->n_jobs);
    }
    return error ? error : logsig_add_factors(tree, chains, d_factors, given + chains->room * width);
}

/* From derivatives by nodes to those by their halves, down to blocks; room: for the halves of a level. */
LOGSIG_NOINLINE int logsig_tree_back(logsig_tree *tree, logsig_real *room)
{
    const logsig_request *const request = tree->request;
    const ptrdiff_t size = request->size;
    int error = 0;
    for (int level = tree->levels - 1; !error && level > 0; level--) {
        const ptrdiff_t below = tree->at[level - 1] * size, count = logsig_rows_at(tree, level);
        error = ((logsig_combine_backprop_fn)request->functions.combine_backprop)(
            tree->d_row + tree->at[level] * size, size, tree->row + below, 2 * size, tree->row + below + size, 2 * size,
            room, 2 * size, room + size, 2 * size, count, request->call->n_jobs);
        if (!error) logsig_add_numbers(tree->d_row + below, room, 2 * count * size);
    }
    return error;
}

/* From derivatives by blocks to those by points. */
LOGSIG_NOINLINE int logsig_blocks_back(const logsig_tree *tree)
{
    const logsig_request *const request = tree->request;
    const ptrdiff_t size = request->size, stride = (request->block + 1) * request->dimension;
    const ptrdiff_t blocks = logsig_rows_at(tree, 0);
    const ptrdiff_t chunk = logsig_at_a_time(2 * stride, 8 * LOGSIG_LANES * (ptrdiff_t)request->call->n_jobs, blocks);
    logsig_real *const copies = logsig_numbers(2 * chunk * stride);
    int error = copies ? 0 : ENOMEM;
    for (ptrdiff_t first = 0; !error && first < blocks; first += chunk) {
        const ptrdiff_t count = blocks - first < chunk ? blocks - first : chunk, at = (tree->at[0] + first) * size;
        const logsig_row_array rows = {tree->row + at, size}, d_rows = {tree->d_row + at, size};
        error = logsig_steps_back(request, tree->starts + first, NULL, count, d_rows, rows, copies);
        for (ptrdiff_t k = 0; !error && k < count; k++)
            logsig_add_numbers((logsig_real *)request->call->d_path + tree->d_starts[first + k],
                           copies + (count + k) * stride, stride);
    }
    logsig_free_numbers(copies);
    return error;
}

/* ---- calls ----------------------------------------------------------------------------------------------------- */

/* The long intervals of the paths of a tree; derivatives are added to those of the paths. */
LOGSIG_NOINLINE int logsig_run_tree(logsig_tree *tree, int backward)
{
    const logsig_request *const request = tree->request;
    const ptrdiff_t size = request->size, all = tree->paths * request->per_path;
    const ptrdiff_t numbers = backward ? logsig_chain_numbers(tree) : 3 * size + request->width;
    const ptrdiff_t least = 8 * LOGSIG_LANES * (ptrdiff_t)request->call->n_jobs;
    const ptrdiff_t chunk = logsig_at_a_time(8 * (numbers + 2 * size), least, all);
    const ptrdiff_t rows = (tree->rows + 2 * chunk) * size, halves = tree->rows * size;
    logsig_chains chains = {.room = 0};
    logsig_real *const room = logsig_numbers(chunk * numbers > halves ? chunk * numbers : halves);
    tree->row = logsig_numbers(backward ? 2 * rows : rows);
    tree->d_row = tree->row + rows;
    int error = room && tree->row ? logsig_open_chains(&chains, tree, chunk) : ENOMEM;
    if (!error && backward) memset(tree->d_row, 0, (size_t)halves * sizeof(logsig_real));
    if (!error) error = logsig_fill_tree(tree);
    for (ptrdiff_t item = tree->first * request->per_path, end = item + all; !error && item < end;) {
        item = logsig_take_chains(&chains, tree, item);
        error = backward ? logsig_chains_back(tree, &chains, room) : logsig_chains_forward(tree, &chains, room);
    }
    if (!error && backward) error = logsig_tree_back(tree, room);
    if (!error && backward) error = logsig_blocks_back(tree);
    logsig_close_chains(&chains);
    logsig_free_numbers(room);
    return error;
}

/* All long intervals of a call, some paths at a time. */
LOGSIG_NOINLINE int logsig_long_intervals(const logsig_request *request, int backward)
{
    const logsig_path_call *const call = request->call;
    const ptrdiff_t nodes = request->block ? 2 * (call->length / request->block) : 0;
    const ptrdiff_t chunk = logsig_at_a_time(nodes * request->size, 1, call->batch);
    int error = 0;
    for (ptrdiff_t first = 0; !error && request->block && first < call->batch; first += chunk) {
        logsig_tree tree = {.request = request, .first = first};
        tree.paths = call->batch - first < chunk ? call->batch - first : chunk;
        error = logsig_open_tree(&tree);
        if (!error && tree.levels) {
            logsig_number_nodes(&tree);
            error = logsig_run_tree(&tree, backward);
        }
        logsig_close_tree(&tree);
    }
    return error;
}

#endif
