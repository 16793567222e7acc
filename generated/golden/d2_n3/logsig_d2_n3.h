/* Log-signature kernels for dimension 2, degree 3.
 *
 * Every operand is a batch of rows: a pointer to its first row and the distance between rows, counted in
 * numbers. Rows are contiguous; inputs may have a distance of zero (one row for the whole batch) or a
 * negative one. Outputs must not overlap inputs. n_jobs >= 1 is the number of threads; results do not
 * depend on it. The functions return 0, or ENOMEM when there is no room for working memory.
 */
#ifndef LOGSIG_D2_N3_H
#define LOGSIG_D2_N3_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LOGSIG_D2_N3_DIMENSION 2
#define LOGSIG_D2_N3_DEGREE 3
#define LOGSIG_D2_N3_SIZE 5 /* coordinates of a log-signature */

/* out = log(exp(log_sig) exp(displacement)), row by row. */
int logsig_d2_n3_join_f64(const double *log_sig, ptrdiff_t log_sig_stride,
                          const double *displacement, ptrdiff_t displacement_stride,
                          double *out, ptrdiff_t out_stride,
                          ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_join_f32(const float *log_sig, ptrdiff_t log_sig_stride,
                          const float *displacement, ptrdiff_t displacement_stride,
                          float *out, ptrdiff_t out_stride,
                          ptrdiff_t batch, int n_jobs);

/* d_log_sig and d_displacement: the derivatives of <d_out, join(log_sig, displacement)>, row by row. */
int logsig_d2_n3_join_backprop_f64(const double *d_out, ptrdiff_t d_out_stride,
                                   const double *log_sig, ptrdiff_t log_sig_stride,
                                   const double *displacement, ptrdiff_t displacement_stride,
                                   double *d_log_sig, ptrdiff_t d_log_sig_stride,
                                   double *d_displacement, ptrdiff_t d_displacement_stride,
                                   ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_join_backprop_f32(const float *d_out, ptrdiff_t d_out_stride,
                                   const float *log_sig, ptrdiff_t log_sig_stride,
                                   const float *displacement, ptrdiff_t displacement_stride,
                                   float *d_log_sig, ptrdiff_t d_log_sig_stride,
                                   float *d_displacement, ptrdiff_t d_displacement_stride,
                                   ptrdiff_t batch, int n_jobs);

#ifdef __cplusplus
}
#endif

#endif
