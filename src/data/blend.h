/* Blending by Megatron's rule (definitions D11): sample i = 0, 1, ... comes from the set with the largest
 * weight*max(i,1) - taken; of equal ones from the first. */
#ifndef DATA_BLEND_H
#define DATA_BLEND_H
#include <stdint.h>

struct blend {
    int n;
    double *weight; /* [n], divided by their sum */
    int64_t next;   /* `taken` is as before sample `next` */
    int64_t *taken; /* [n] samples so far */
};
/** All weights must be above 0. */
void blend_open(struct blend *, int n, const double *weight);
void blend_close(struct blend *);
/** The set of sample i, and *nth, the number of earlier samples from that set. Cheap for ascending i; for a
 * smaller i than before it counts from 0 again, at about n ns a sample. */
int blend_locate(struct blend *, int64_t i, int64_t *nth);

#endif
