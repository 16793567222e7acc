/* Maps between coordinates: dimension 2, degree 3. */
#include "logsig_d2_n3.h"

static const ptrdiff_t words_starts[15] = {
    0, 1, 2, 2, 3, 4, 4, 4, 5, 6, 7, 8, 9, 10, 10,
};

static const ptrdiff_t words_indices[10] = {
    0, 1, 2, 2, 3, 3, 4, 3, 4, 4,
};

static const double words_coefficients[10] = {
    1, 1, 1, -1, 1, -2, 1, 1, -2, 1,
};

static const ptrdiff_t lyndon_starts[6] = {
    0, 1, 2, 3, 4, 5,
};

static const ptrdiff_t lyndon_indices[5] = {
    0, 1, 2, 3, 4,
};

static const double lyndon_coefficients[5] = {
    1, 1, 1, 1, 1,
};

static const ptrdiff_t words_back_starts[6] = {
    0, 1, 2, 4, 7, 10,
};

static const ptrdiff_t words_back_indices[10] = {
    0, 1, 3, 4, 7, 8, 10, 9, 11, 12,
};

static const double words_back_coefficients[10] = {
    1, 1, 1, -1, 1, -2, 1, 1, -2, 1,
};

static const ptrdiff_t lyndon_back_starts[6] = {
    0, 1, 2, 3, 4, 5,
};

static const ptrdiff_t lyndon_back_indices[5] = {
    0, 1, 2, 3, 4,
};

static const double lyndon_back_coefficients[5] = {
    1, 1, 1, 1, 1,
};

const logsig_map logsig_d2_n3_coordinates[4] = {
    {14, 5, words_starts, words_indices, words_coefficients},
    {5, 5, lyndon_starts, lyndon_indices, lyndon_coefficients},
    {5, 14, words_back_starts, words_back_indices, words_back_coefficients},
    {5, 5, lyndon_back_starts, lyndon_back_indices, lyndon_back_coefficients},
};
