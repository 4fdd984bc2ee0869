/* Blending by Megatron's rule (D11): sample i = 0, 1, ... comes from the set with the largest
 * w*max(i,1) - taken, ties to the first. A pure state machine, seekable by replay. */
#ifndef DATA_BLEND_H
#define DATA_BLEND_H
#include <stdint.h>

struct blend {
    int n;
    double *weight; /* [n], divided by their sum */
    int64_t next;   /* the state is that before sample `next` */
    int64_t *taken; /* [n] samples so far */
};
/** Weights above 0. */
void blend_open(struct blend *, int n, const double *weight);
void blend_close(struct blend *);
/** Set of sample i and the number of earlier samples from that set. Cheap for ascending i; a step
 *  back replays from 0 (about n ns a sample). */
int blend_locate(struct blend *, int64_t i, int64_t *nth);

#endif
