/* Maps between coordinates: dimension 2, degree 5. */
#include "logsig_d2_n5.h"

static const ptrdiff_t words_starts[63] = {
    0, 1, 2, 2, 3, 4, 4, 4, 5, 6, 7, 8, 9, 10, 10, 10,
    11, 12, 13, 14, 15, 15, 16, 17, 17, 18, 19, 20, 21, 22, 22, 22,
    23, 24, 25, 26, 28, 30, 31, 32, 33, 35, 37, 39, 41, 43, 44, 45,
    46, 47, 48, 50, 51, 53, 54, 55, 56, 58, 59, 60, 61, 62, 62,
};

static const ptrdiff_t words_indices[62] = {
    0, 1, 2, 2, 3, 3, 4, 3, 4, 4, 5, 5, 6, 5, 6, 7,
    5, 6, 7, 6, 7, 7, 8, 8, 9, 8, 9, 10, 9, 10, 11, 8,
    10, 9, 10, 11, 12, 9, 10, 11, 12, 11, 12, 13, 8, 10, 10, 12,
    9, 10, 12, 11, 12, 13, 9, 12, 11, 12, 13, 11, 13, 13,
};

static const double words_coefficients[62] = {
    1, 1, 1, -1, 1, -2, 1, 1, -2, 1, 1, -3, 1, 3, -2, 1,
    -1, 2, -3, -1, 3, -1, 1, -4, 1, 6, -2, 1, -1, -1, 1, -4,
    -3, 4, 4, -3, 1, -1, -1, 3, -3, -2, 2, 1, 1, 2, -3, -1,
    -2, 1, 4, 3, -3, -4, 1, -1, -3, 1, 6, 1, -4, 1,
};

static const ptrdiff_t lyndon_starts[15] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 15, 16,
};

static const ptrdiff_t lyndon_indices[16] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 11, 11, 12, 13,
};

static const double lyndon_coefficients[16] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -2, 1, 1, -3, 1, 1,
};

static const ptrdiff_t words_back_starts[15] = {
    0, 1, 2, 4, 7, 10, 14, 18, 22, 27, 34, 42, 49, 57, 62,
};

static const ptrdiff_t words_back_indices[62] = {
    0, 1, 3, 4, 7, 8, 10, 9, 11, 12, 15, 16, 18, 22, 17, 19,
    24, 26, 21, 25, 27, 28, 31, 32, 34, 38, 46, 33, 35, 36, 40, 42,
    50, 54, 35, 36, 39, 40, 42, 47, 48, 50, 37, 41, 43, 44, 52, 56,
    58, 41, 43, 44, 49, 51, 52, 55, 56, 45, 53, 57, 59, 60,
};

static const double words_back_coefficients[62] = {
    1, 1, 1, -1, 1, -2, 1, 1, -2, 1, 1, -3, 3, -1, 1, -2,
    2, -1, 1, -3, 3, -1, 1, -4, 6, -4, 1, 1, -2, -1, 4, -1,
    -2, 1, 1, -1, -3, 4, -1, 2, -3, 1, 1, -3, 3, -2, 3, -3,
    1, 1, -3, 2, -1, 4, -3, -1, 1, 1, -4, 6, -4, 1,
};

static const ptrdiff_t lyndon_back_starts[15] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14, 15, 16,
};

static const ptrdiff_t lyndon_back_indices[16] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 11, 12, 12, 13,
};

static const double lyndon_back_coefficients[16] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -2, 1, 1, -3, 1, 1,
};

const logsig_map logsig_d2_n5_coordinates[4] = {
    {62, 14, words_starts, words_indices, words_coefficients},
    {14, 14, lyndon_starts, lyndon_indices, lyndon_coefficients},
    {14, 62, words_back_starts, words_back_indices, words_back_coefficients},
    {14, 14, lyndon_back_starts, lyndon_back_indices, lyndon_back_coefficients},
};
