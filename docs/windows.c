#include <stdio.h>
#include "logsig_d2_n3.h"

int main(void) { /* windows of 4 points, 2 apart, of two paths of 8 and 5 points, on Lyndon words; then their gradient */
    const double path[2][8][2] = {
        {{0, 0}, {1, 0}, {1, 1}, {0, 3}, {2, 3}, {2, 5}, {-1, 4}, {0, 0}},
        {{0, 0}, {2, 1}, {3, -1}, {3, 2}, {1, 1}},
    };
    const ptrdiff_t lengths[2] = {8, 5};
    double out[2][3][5], d_out[2][3][5], d_path[2][8][2];
    logsig_path_call call = {.struct_size = sizeof call, .n_jobs = 1, .method = 1};
    call.path = path, call.path_stride = call.d_path_stride = 16, call.batch = 2;
    call.length = 8, call.lengths = lengths, call.window = 4, call.step = 2;
    call.out = out, call.out_stride = 5;
    if (logsig_d2_n3_paths_f64(&call) != 0) return 1;
    for (int k = 0; k < 30; k++) (&d_out[0][0][0])[k] = k % 7 - 3; /* derivatives by the result */
    call.d_out = d_out, call.d_out_stride = 5, call.d_path = d_path;
    if (logsig_d2_n3_paths_backprop_f64(&call) != 0) return 1;
    for (int k = 0; k < 30; k++) printf("%.9f ", (&out[0][0][0])[k]);
    for (int k = 0; k < 32; k++) printf("%.9f ", (&d_path[0][0][0])[k]);
    return printf("\n") < 0;
}
