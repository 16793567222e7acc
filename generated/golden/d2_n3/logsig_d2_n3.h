/* Log-signature kernels for dimension 2, degree 3.
 *
 * Every operand is a batch of rows: a pointer to its first row and the distance between rows, counted in
 * numbers. Rows are contiguous; inputs may have a distance of zero (one row for the whole batch) or a
 * negative one. Outputs must not overlap inputs. n_jobs >= 1 is the number of threads; results do not
 * depend on it. The functions return 0, or ENOMEM when there is no room for working memory.
 * A path is length points, one after the other; with lengths (or null) each path has its own number of
 * points, at most length, and with starts (or null) path b begins at path + starts[b]. products (or null)
 * points to three functions of this problem and number type, log_sig, combine and combine_backprop, cast to
 * void (*)(void): with them long paths are cut into pieces that fill the lanes.
 */
#ifndef LOGSIG_D2_N3_H
#define LOGSIG_D2_N3_H

#include <stddef.h>

#include "logsig_path_call.h"

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

/* out = log(exp(log_sig1) exp(log_sig2)), row by row. */
int logsig_d2_n3_combine_f64(const double *log_sig1, ptrdiff_t log_sig1_stride,
                             const double *log_sig2, ptrdiff_t log_sig2_stride,
                             double *out, ptrdiff_t out_stride,
                             ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_combine_f32(const float *log_sig1, ptrdiff_t log_sig1_stride,
                             const float *log_sig2, ptrdiff_t log_sig2_stride,
                             float *out, ptrdiff_t out_stride,
                             ptrdiff_t batch, int n_jobs);

/* d_log_sig1 and d_log_sig2: the derivatives of <d_out, combine(log_sig1, log_sig2)>, row by row. */
int logsig_d2_n3_combine_backprop_f64(const double *d_out, ptrdiff_t d_out_stride,
                                      const double *log_sig1, ptrdiff_t log_sig1_stride,
                                      const double *log_sig2, ptrdiff_t log_sig2_stride,
                                      double *d_log_sig1, ptrdiff_t d_log_sig1_stride,
                                      double *d_log_sig2, ptrdiff_t d_log_sig2_stride,
                                      ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_combine_backprop_f32(const float *d_out, ptrdiff_t d_out_stride,
                                      const float *log_sig1, ptrdiff_t log_sig1_stride,
                                      const float *log_sig2, ptrdiff_t log_sig2_stride,
                                      float *d_log_sig1, ptrdiff_t d_log_sig1_stride,
                                      float *d_log_sig2, ptrdiff_t d_log_sig2_stride,
                                      ptrdiff_t batch, int n_jobs);

/* out: the log-signature of each path, carried in logarithmic-derivative coordinates. */
int logsig_d2_n3_log_sig_f64(const double *path, ptrdiff_t path_stride,
                             ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts,
                             const void *products,
                             double *out, ptrdiff_t out_stride,
                             ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_log_sig_f32(const float *path, ptrdiff_t path_stride,
                             ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts,
                             const void *products,
                             float *out, ptrdiff_t out_stride,
                             ptrdiff_t batch, int n_jobs);

/* d_path: the derivative of <d_out, log_sig(path)>; log_sig is the log-signature of the path. */
int logsig_d2_n3_log_sig_backprop_f64(const double *d_out, ptrdiff_t d_out_stride,
                                      const double *log_sig, ptrdiff_t log_sig_stride,
                                      const double *path, ptrdiff_t path_stride,
                                      ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts,
                                      const void *products,
                                      double *d_path, ptrdiff_t d_path_stride,
                                      ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_log_sig_backprop_f32(const float *d_out, ptrdiff_t d_out_stride,
                                      const float *log_sig, ptrdiff_t log_sig_stride,
                                      const float *path, ptrdiff_t path_stride,
                                      ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts,
                                      const void *products,
                                      float *d_path, ptrdiff_t d_path_stride,
                                      ptrdiff_t batch, int n_jobs);

/* out: one row per step, the log-signature of the path so far; initial (or null): what came before. */
int logsig_d2_n3_stream_f64(const double *path, ptrdiff_t path_stride,
                            ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts,
                            const double *initial, ptrdiff_t initial_stride,
                            double *out, ptrdiff_t out_stride,
                            ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_stream_f32(const float *path, ptrdiff_t path_stride,
                            ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts,
                            const float *initial, ptrdiff_t initial_stride,
                            float *out, ptrdiff_t out_stride,
                            ptrdiff_t batch, int n_jobs);

/* d_path and d_initial: the derivatives of <d_out, stream(path, initial)>; stream is its result. */
int logsig_d2_n3_stream_backprop_f64(const double *d_out, ptrdiff_t d_out_stride,
                                     const double *stream, ptrdiff_t stream_stride,
                                     const double *path, ptrdiff_t path_stride,
                                     ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts,
                                     const double *initial, ptrdiff_t initial_stride,
                                     double *d_path, ptrdiff_t d_path_stride,
                                     double *d_initial, ptrdiff_t d_initial_stride,
                                     ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_stream_backprop_f32(const float *d_out, ptrdiff_t d_out_stride,
                                     const float *stream, ptrdiff_t stream_stride,
                                     const float *path, ptrdiff_t path_stride,
                                     ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts,
                                     const float *initial, ptrdiff_t initial_stride,
                                     float *d_path, ptrdiff_t d_path_stride,
                                     float *d_initial, ptrdiff_t d_initial_stride,
                                     ptrdiff_t batch, int n_jobs);

/* out: the log-signature of each path, carried as the signature on prefixes of Lyndon words. */
int logsig_d2_n3_log_sig_by_signature_f64(const double *path, ptrdiff_t path_stride,
                                          ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts,
                                          const void *products,
                                          double *out, ptrdiff_t out_stride,
                                          ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_log_sig_by_signature_f32(const float *path, ptrdiff_t path_stride,
                                          ptrdiff_t length, const ptrdiff_t *lengths, const ptrdiff_t *starts,
                                          const void *products,
                                          float *out, ptrdiff_t out_stride,
                                          ptrdiff_t batch, int n_jobs);

/* t_out: the derivative of join(log_sig, displacement) in the direction (t_log_sig, t_displacement), row by row. */
int logsig_d2_n3_join_jvp_f64(const double *log_sig, ptrdiff_t log_sig_stride,
                              const double *displacement, ptrdiff_t displacement_stride,
                              const double *t_log_sig, ptrdiff_t t_log_sig_stride,
                              const double *t_displacement, ptrdiff_t t_displacement_stride,
                              double *t_out, ptrdiff_t t_out_stride,
                              ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_join_jvp_f32(const float *log_sig, ptrdiff_t log_sig_stride,
                              const float *displacement, ptrdiff_t displacement_stride,
                              const float *t_log_sig, ptrdiff_t t_log_sig_stride,
                              const float *t_displacement, ptrdiff_t t_displacement_stride,
                              float *t_out, ptrdiff_t t_out_stride,
                              ptrdiff_t batch, int n_jobs);

/* The derivatives of <d_d_log_sig, d_log_sig> + <d_d_displacement, d_displacement> with respect to the arguments of join_backprop. */
int logsig_d2_n3_join_backprop_backprop_f64(const double *d_d_log_sig, ptrdiff_t d_d_log_sig_stride,
                                            const double *d_d_displacement, ptrdiff_t d_d_displacement_stride,
                                            const double *d_out, ptrdiff_t d_out_stride,
                                            const double *log_sig, ptrdiff_t log_sig_stride,
                                            const double *displacement, ptrdiff_t displacement_stride,
                                            double *d_d_out, ptrdiff_t d_d_out_stride,
                                            double *d_log_sig, ptrdiff_t d_log_sig_stride,
                                            double *d_displacement, ptrdiff_t d_displacement_stride,
                                            ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_join_backprop_backprop_f32(const float *d_d_log_sig, ptrdiff_t d_d_log_sig_stride,
                                            const float *d_d_displacement, ptrdiff_t d_d_displacement_stride,
                                            const float *d_out, ptrdiff_t d_out_stride,
                                            const float *log_sig, ptrdiff_t log_sig_stride,
                                            const float *displacement, ptrdiff_t displacement_stride,
                                            float *d_d_out, ptrdiff_t d_d_out_stride,
                                            float *d_log_sig, ptrdiff_t d_log_sig_stride,
                                            float *d_displacement, ptrdiff_t d_displacement_stride,
                                            ptrdiff_t batch, int n_jobs);

/* t_out: the derivative of combine(log_sig1, log_sig2) in the direction (t_log_sig1, t_log_sig2), row by row. */
int logsig_d2_n3_combine_jvp_f64(const double *log_sig1, ptrdiff_t log_sig1_stride,
                                 const double *log_sig2, ptrdiff_t log_sig2_stride,
                                 const double *t_log_sig1, ptrdiff_t t_log_sig1_stride,
                                 const double *t_log_sig2, ptrdiff_t t_log_sig2_stride,
                                 double *t_out, ptrdiff_t t_out_stride,
                                 ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_combine_jvp_f32(const float *log_sig1, ptrdiff_t log_sig1_stride,
                                 const float *log_sig2, ptrdiff_t log_sig2_stride,
                                 const float *t_log_sig1, ptrdiff_t t_log_sig1_stride,
                                 const float *t_log_sig2, ptrdiff_t t_log_sig2_stride,
                                 float *t_out, ptrdiff_t t_out_stride,
                                 ptrdiff_t batch, int n_jobs);

/* The derivatives of <d_d_log_sig1, d_log_sig1> + <d_d_log_sig2, d_log_sig2> with respect to the arguments of combine_backprop. */
int logsig_d2_n3_combine_backprop_backprop_f64(const double *d_d_log_sig1, ptrdiff_t d_d_log_sig1_stride,
                                               const double *d_d_log_sig2, ptrdiff_t d_d_log_sig2_stride,
                                               const double *d_out, ptrdiff_t d_out_stride,
                                               const double *log_sig1, ptrdiff_t log_sig1_stride,
                                               const double *log_sig2, ptrdiff_t log_sig2_stride,
                                               double *d_d_out, ptrdiff_t d_d_out_stride,
                                               double *d_log_sig1, ptrdiff_t d_log_sig1_stride,
                                               double *d_log_sig2, ptrdiff_t d_log_sig2_stride,
                                               ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_combine_backprop_backprop_f32(const float *d_d_log_sig1, ptrdiff_t d_d_log_sig1_stride,
                                               const float *d_d_log_sig2, ptrdiff_t d_d_log_sig2_stride,
                                               const float *d_out, ptrdiff_t d_out_stride,
                                               const float *log_sig1, ptrdiff_t log_sig1_stride,
                                               const float *log_sig2, ptrdiff_t log_sig2_stride,
                                               float *d_d_out, ptrdiff_t d_d_out_stride,
                                               float *d_log_sig1, ptrdiff_t d_log_sig1_stride,
                                               float *d_log_sig2, ptrdiff_t d_log_sig2_stride,
                                               ptrdiff_t batch, int n_jobs);

/* out = [left, right], truncated, row by row. */
int logsig_d2_n3_bracket_f64(const double *left, ptrdiff_t left_stride,
                             const double *right, ptrdiff_t right_stride,
                             double *out, ptrdiff_t out_stride,
                             ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_bracket_f32(const float *left, ptrdiff_t left_stride,
                             const float *right, ptrdiff_t right_stride,
                             float *out, ptrdiff_t out_stride,
                             ptrdiff_t batch, int n_jobs);

/* out: the form with <out, x> = <form, [actor, x]> for every x, row by row. */
int logsig_d2_n3_coadjoint_f64(const double *actor, ptrdiff_t actor_stride,
                               const double *form, ptrdiff_t form_stride,
                               double *out, ptrdiff_t out_stride,
                               ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_coadjoint_f32(const float *actor, ptrdiff_t actor_stride,
                               const float *form, ptrdiff_t form_stride,
                               float *out, ptrdiff_t out_stride,
                               ptrdiff_t batch, int n_jobs);

/* out = log(exp(displacement) exp(log_sig)), row by row. */
int logsig_d2_n3_join_left_f64(const double *log_sig, ptrdiff_t log_sig_stride,
                               const double *displacement, ptrdiff_t displacement_stride,
                               double *out, ptrdiff_t out_stride,
                               ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_join_left_f32(const float *log_sig, ptrdiff_t log_sig_stride,
                               const float *displacement, ptrdiff_t displacement_stride,
                               float *out, ptrdiff_t out_stride,
                               ptrdiff_t batch, int n_jobs);

/* d_log_sig and d_displacement: the derivatives of <d_out, join_left(log_sig, displacement)>, row by row. */
int logsig_d2_n3_join_left_backprop_f64(const double *d_out, ptrdiff_t d_out_stride,
                                        const double *log_sig, ptrdiff_t log_sig_stride,
                                        const double *displacement, ptrdiff_t displacement_stride,
                                        double *d_log_sig, ptrdiff_t d_log_sig_stride,
                                        double *d_displacement, ptrdiff_t d_displacement_stride,
                                        ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_join_left_backprop_f32(const float *d_out, ptrdiff_t d_out_stride,
                                        const float *log_sig, ptrdiff_t log_sig_stride,
                                        const float *displacement, ptrdiff_t displacement_stride,
                                        float *d_log_sig, ptrdiff_t d_log_sig_stride,
                                        float *d_displacement, ptrdiff_t d_displacement_stride,
                                        ptrdiff_t batch, int n_jobs);

/* t_out: the derivative of join_left(log_sig, displacement) in the direction (t_log_sig, t_displacement), row by row. */
int logsig_d2_n3_join_left_jvp_f64(const double *log_sig, ptrdiff_t log_sig_stride,
                                   const double *displacement, ptrdiff_t displacement_stride,
                                   const double *t_log_sig, ptrdiff_t t_log_sig_stride,
                                   const double *t_displacement, ptrdiff_t t_displacement_stride,
                                   double *t_out, ptrdiff_t t_out_stride,
                                   ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_join_left_jvp_f32(const float *log_sig, ptrdiff_t log_sig_stride,
                                   const float *displacement, ptrdiff_t displacement_stride,
                                   const float *t_log_sig, ptrdiff_t t_log_sig_stride,
                                   const float *t_displacement, ptrdiff_t t_displacement_stride,
                                   float *t_out, ptrdiff_t t_out_stride,
                                   ptrdiff_t batch, int n_jobs);

/* The derivatives of <d_d_log_sig, d_log_sig> + <d_d_displacement, d_displacement> with respect to the arguments of join_left_backprop. */
int logsig_d2_n3_join_left_backprop_backprop_f64(const double *d_d_log_sig, ptrdiff_t d_d_log_sig_stride,
                                                 const double *d_d_displacement, ptrdiff_t d_d_displacement_stride,
                                                 const double *d_out, ptrdiff_t d_out_stride,
                                                 const double *log_sig, ptrdiff_t log_sig_stride,
                                                 const double *displacement, ptrdiff_t displacement_stride,
                                                 double *d_d_out, ptrdiff_t d_d_out_stride,
                                                 double *d_log_sig, ptrdiff_t d_log_sig_stride,
                                                 double *d_displacement, ptrdiff_t d_displacement_stride,
                                                 ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_join_left_backprop_backprop_f32(const float *d_d_log_sig, ptrdiff_t d_d_log_sig_stride,
                                                 const float *d_d_displacement, ptrdiff_t d_d_displacement_stride,
                                                 const float *d_out, ptrdiff_t d_out_stride,
                                                 const float *log_sig, ptrdiff_t log_sig_stride,
                                                 const float *displacement, ptrdiff_t displacement_stride,
                                                 float *d_d_out, ptrdiff_t d_d_out_stride,
                                                 float *d_log_sig, ptrdiff_t d_log_sig_stride,
                                                 float *d_displacement, ptrdiff_t d_displacement_stride,
                                                 ptrdiff_t batch, int n_jobs);

/* For calls along paths: windows from what they have in common; -1: to be taken one by one. */
int logsig_d2_n3_windows_f64(const void *request);
int logsig_d2_n3_windows_f32(const void *request);

/* The same for gradients. */
int logsig_d2_n3_windows_backprop_f64(const void *request);
int logsig_d2_n3_windows_backprop_f32(const void *request);

/* out: the logarithm, row by row. */
int logsig_d2_n3_sig_to_log_sig_f64(const double *sig, ptrdiff_t sig_stride,
                                    double *out, ptrdiff_t out_stride,
                                    const logsig_map *maps, int n_maps, int scalar_term,
                                    ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_sig_to_log_sig_f32(const float *sig, ptrdiff_t sig_stride,
                                    float *out, ptrdiff_t out_stride,
                                    const logsig_map *maps, int n_maps, int scalar_term,
                                    ptrdiff_t batch, int n_jobs);

/* d_sig: the derivatives of <d_out, sig_to_log_sig(sig)>, row by row. */
int logsig_d2_n3_sig_to_log_sig_backprop_f64(const double *d_out, ptrdiff_t d_out_stride,
                                             const double *sig, ptrdiff_t sig_stride,
                                             double *d_sig, ptrdiff_t d_sig_stride,
                                             const logsig_map *maps, int n_maps, int scalar_term,
                                             ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_sig_to_log_sig_backprop_f32(const float *d_out, ptrdiff_t d_out_stride,
                                             const float *sig, ptrdiff_t sig_stride,
                                             float *d_sig, ptrdiff_t d_sig_stride,
                                             const logsig_map *maps, int n_maps, int scalar_term,
                                             ptrdiff_t batch, int n_jobs);

/* sig: the exponential, row by row. */
int logsig_d2_n3_logsig_to_sig_f64(const double *log_sig, ptrdiff_t log_sig_stride,
                                   double *sig, ptrdiff_t sig_stride,
                                   const logsig_map *maps, int n_maps, int scalar_term,
                                   ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_logsig_to_sig_f32(const float *log_sig, ptrdiff_t log_sig_stride,
                                   float *sig, ptrdiff_t sig_stride,
                                   const logsig_map *maps, int n_maps, int scalar_term,
                                   ptrdiff_t batch, int n_jobs);

/* d_log_sig: the derivatives of <d_sig, logsig_to_sig(log_sig)>, row by row. */
int logsig_d2_n3_logsig_to_sig_backprop_f64(const double *d_sig, ptrdiff_t d_sig_stride,
                                            const double *log_sig, ptrdiff_t log_sig_stride,
                                            double *d_log_sig, ptrdiff_t d_log_sig_stride,
                                            const logsig_map *maps, int n_maps, int scalar_term,
                                            ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_logsig_to_sig_backprop_f32(const float *d_sig, ptrdiff_t d_sig_stride,
                                            const float *log_sig, ptrdiff_t log_sig_stride,
                                            float *d_log_sig, ptrdiff_t d_log_sig_stride,
                                            const logsig_map *maps, int n_maps, int scalar_term,
                                            ptrdiff_t batch, int n_jobs);

/* out: log_sig in other coordinates, by one or more maps; scalar_term: 1: log_sig begins with one, 2: out, 3: both. */
int logsig_d2_n3_change_coordinates_f64(const double *log_sig, ptrdiff_t log_sig_stride,
                                        double *out, ptrdiff_t out_stride,
                                        const logsig_map *maps, int n_maps, int scalar_term,
                                        ptrdiff_t batch, int n_jobs);
int logsig_d2_n3_change_coordinates_f32(const float *log_sig, ptrdiff_t log_sig_stride,
                                        float *out, ptrdiff_t out_stride,
                                        const logsig_map *maps, int n_maps, int scalar_term,
                                        ptrdiff_t batch, int n_jobs);

/* What call asks for: log-signatures of paths or windows, or streams; see logsig_path_call.h. */
int logsig_d2_n3_paths_f64(const logsig_path_call *call);
int logsig_d2_n3_paths_f32(const logsig_path_call *call);

/* The gradients of what call asks for. */
int logsig_d2_n3_paths_backprop_f64(const logsig_path_call *call);
int logsig_d2_n3_paths_backprop_f32(const logsig_path_call *call);

/* From Lyndon brackets to method 0 and to method 1, and the transposes of both. */
extern const logsig_map logsig_d2_n3_coordinates[4];

#ifdef __cplusplus
}
#endif

#endif
