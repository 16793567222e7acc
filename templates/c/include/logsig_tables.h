/* Brackets by table, for problems too large for straight-line code, and elementwise loops.
 *
 * For one pair of degrees p <= q a table lists where [X, Y]_k = sum of coefficient * X_i * Y_j is not zero. Entries are
 * sorted by i, so that X_i stays in a register; entries with the same coefficient form a class, so that the coefficient
 * is multiplied in once per i. Every sum is formed in the order of the table: the result does not depend on the lane.
 */
#ifndef LOGSIG_TABLES_H
#define LOGSIG_TABLES_H

#include "logsig_simd.h"

/* Entries e in [row[i], row[i + 1]) say that [X_i, Y_j[e]] contains coefficient * Z_k[e]. */
typedef struct {
    logsig_real coefficient;
    const uint32_t *row;
    const uint32_t *j, *k;
} logsig_class;

/* rows: the number of X_i. */
typedef struct {
    int rows;
    int n_classes;
    const logsig_class *classes;
} logsig_table;

/* z += scale * [x, y] */
LOGSIG_NOINLINE void logsig_table_bracket(const logsig_table *table, logsig_real scale, const logsig_vec *x,
                                               const logsig_vec *y, logsig_vec *z)
{
    for (int c = 0; c < table->n_classes; c++) {
        const logsig_class *const class_ = &table->classes[c];
        const uint32_t *const j = class_->j, *const k = class_->k;
        const logsig_vec factor = LOGSIG_SET1(scale * class_->coefficient);
        for (int i = 0; i < table->rows; i++) {
            const uint32_t end = class_->row[i + 1];
            const logsig_vec xi = LOGSIG_MUL(factor, x[i]);
            for (uint32_t e = class_->row[i]; e < end; e++) z[k[e]] = LOGSIG_FMA(xi, y[j[e]], z[k[e]]);
        }
    }
}

/* eta += scale * (the adjoint of y -> [x, y], applied to zeta) */
LOGSIG_NOINLINE void logsig_table_coadjoint_low(const logsig_table *table, logsig_real scale, const logsig_vec *x,
                                                     const logsig_vec *zeta, logsig_vec *eta)
{
    for (int c = 0; c < table->n_classes; c++) {
        const logsig_class *const class_ = &table->classes[c];
        const uint32_t *const j = class_->j, *const k = class_->k;
        const logsig_vec factor = LOGSIG_SET1(scale * class_->coefficient);
        for (int i = 0; i < table->rows; i++) {
            const uint32_t end = class_->row[i + 1];
            const logsig_vec xi = LOGSIG_MUL(factor, x[i]);
            for (uint32_t e = class_->row[i]; e < end; e++) eta[j[e]] = LOGSIG_FMA(xi, zeta[k[e]], eta[j[e]]);
        }
    }
}

/* xi += scale * (the adjoint of x -> [x, y], applied to zeta). One long sum per i: several partial sums hide the
 * latency of the additions. */
LOGSIG_NOINLINE void logsig_table_coadjoint_high(const logsig_table *table, logsig_real scale, const logsig_vec *y,
                                                      const logsig_vec *zeta, logsig_vec *xi)
{
    for (int c = 0; c < table->n_classes; c++) {
        const logsig_class *const class_ = &table->classes[c];
        const uint32_t *const j = class_->j, *const k = class_->k;
        const logsig_vec factor = LOGSIG_SET1(scale * class_->coefficient);
        for (int i = 0; i < table->rows; i++) {
            const uint32_t end = class_->row[i + 1];
            uint32_t e = class_->row[i];
            if (e == end) continue;
            logsig_vec a = LOGSIG_SET1(0), b = a, c_ = a, d = a;
            for (; end - e >= 4; e += 4) {
                a = LOGSIG_FMA(y[j[e]], zeta[k[e]], a);
                b = LOGSIG_FMA(y[j[e + 1]], zeta[k[e + 1]], b);
                c_ = LOGSIG_FMA(y[j[e + 2]], zeta[k[e + 2]], c_);
                d = LOGSIG_FMA(y[j[e + 3]], zeta[k[e + 3]], d);
            }
            for (; e < end; e++) a = LOGSIG_FMA(y[j[e]], zeta[k[e]], a);
            xi[i] = LOGSIG_FMA(factor, LOGSIG_ADD(LOGSIG_ADD(a, b), LOGSIG_ADD(c_, d)), xi[i]);
        }
    }
}

LOGSIG_NOINLINE void logsig_vec_zero(int n, logsig_vec *to)
{
    for (int i = 0; i < n; i++) to[i] = LOGSIG_SET1(0);
}

LOGSIG_NOINLINE void logsig_vec_copy(int n, const logsig_vec *from, logsig_vec *to)
{
    for (int i = 0; i < n; i++) to[i] = from[i];
}

/* to += scale * from */
LOGSIG_NOINLINE void logsig_vec_add_scaled(int n, logsig_real scale, const logsig_vec *from, logsig_vec *to)
{
    const logsig_vec factor = LOGSIG_SET1(scale);
    for (int i = 0; i < n; i++) to[i] = LOGSIG_FMA(factor, from[i], to[i]);
}

#endif
