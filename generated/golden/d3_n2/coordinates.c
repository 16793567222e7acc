/* Maps between coordinates: dimension 3, degree 2. */
#include "logsig_d3_n2.h"

static const ptrdiff_t words_starts[13] = {
    0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9,
};

static const ptrdiff_t words_indices[9] = {
    0, 1, 2, 3, 4, 3, 5, 4, 5,
};

static const double words_coefficients[9] = {
    1, 1, 1, 1, 1, -1, 1, -1, -1,
};

static const ptrdiff_t lyndon_starts[7] = {
    0, 1, 2, 3, 4, 5, 6,
};

static const ptrdiff_t lyndon_indices[6] = {
    0, 1, 2, 3, 4, 5,
};

static const double lyndon_coefficients[6] = {
    1, 1, 1, 1, 1, 1,
};

static const ptrdiff_t words_back_starts[7] = {
    0, 1, 2, 3, 5, 7, 9,
};

static const ptrdiff_t words_back_indices[9] = {
    0, 1, 2, 4, 6, 5, 9, 8, 10,
};

static const double words_back_coefficients[9] = {
    1, 1, 1, 1, -1, 1, -1, 1, -1,
};

static const ptrdiff_t lyndon_back_starts[7] = {
    0, 1, 2, 3, 4, 5, 6,
};

static const ptrdiff_t lyndon_back_indices[6] = {
    0, 1, 2, 3, 4, 5,
};

static const double lyndon_back_coefficients[6] = {
    1, 1, 1, 1, 1, 1,
};

const logsig_map logsig_d3_n2_coordinates[4] = {
    {12, 6, words_starts, words_indices, words_coefficients},
    {6, 6, lyndon_starts, lyndon_indices, lyndon_coefficients},
    {6, 12, words_back_starts, words_back_indices, words_back_coefficients},
    {6, 6, lyndon_back_starts, lyndon_back_indices, lyndon_back_coefficients},
};
