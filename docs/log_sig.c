#include <stdio.h>
#include "logsig_d2_n3.h"

int main(void) { /* the same path as a whole, and the derivative of its area with respect to its points */
    const double path[4][2] = {{0.0, 0.0}, {1.0, 0.0}, {1.0, 1.0}, {0.0, 3.0}}, d_out[5] = {0.0, 0.0, 1.0, 0.0, 0.0};
    double z[5], d_path[4][2];
    const struct {
        void (*log_sig)(void), (*combine)(void), (*combine_backprop)(void);
    } products = {(void (*)(void))logsig_d2_n3_log_sig_f64, (void (*)(void))logsig_d2_n3_combine_f64,
                  (void (*)(void))logsig_d2_n3_combine_backprop_f64};
    if (logsig_d2_n3_log_sig_f64(path[0], 8, 4, NULL, NULL, &products, z, 5, 1, 1) != 0) return 1;
    if (logsig_d2_n3_log_sig_backprop_f64(d_out, 5, z, 5, path[0], 8, 4, NULL, NULL, &products, d_path[0], 8, 1, 1) != 0)
        return 1;
    if (d_path[0][0] != -1.5 || d_path[0][1] != -0.5) return 1;
    return printf("%.6f %.6f %.6f %.6f %.6f\n", z[0], z[1], z[2], z[3], z[4]) < 0;
}
