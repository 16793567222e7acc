#include <stdio.h>
#include "logsig_d2_n3.h"

int main(void) { /* a path of three displacements in the plane: its log-signature up to degree 3 */
    const double step[3][2] = {{1.0, 0.0}, {0.0, 1.0}, {-1.0, 2.0}};
    double z[5] = {0.0}, next[5]; /* coordinates 0, 1, [0,1], [0,[0,1]], [[0,1],1] */
    for (int i = 0; i < 3; ++i) {
        if (logsig_d2_n3_join_f64(z, 5, step[i], 2, next, 5, 1, 1) != 0) return 1;
        for (int k = 0; k < 5; ++k) z[k] = next[k];
    }
    return printf("%.6f %.6f %.6f %.6f %.6f\n", z[0], z[1], z[2], z[3], z[4]) < 0;
}
