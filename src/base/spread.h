/* The numbers 0 to n-1 in an order such that those visited so far are always spread about evenly. They can be
 * dealt to several parts, which together visit each number once. Pure. */
#ifndef BASE_SPREAD_H
#define BASE_SPREAD_H
#include <stdint.h>

struct spread {
    int64_t n, at, step, left;
};

/** The share of one part of `parts`. */
struct spread spread_begin(int64_t n, int part, int parts);
/** The next number, -1 at the end. */
int64_t spread_next(struct spread *);

#endif
