/* Blending by Megatron's rule (D11): sample i = 0, 1, ... comes from the set with the largest
 * w*max(i,1) - taken, ties to the first. Pure state machine, seekable by replay in blocks. */
#ifndef DATA_BLEND_H
#define DATA_BLEND_H
#include <stdint.h>

struct blend { int n; double *weight; int64_t next, *taken; }; /* weights sum to 1 */
void blend_open(struct blend *, int n, const double *weight);
void blend_close(struct blend *);
/** Set of sample i and the number of earlier samples from that set. Cheap for ascending i; a step
 *  back replays from 0. */
int blend_locate(struct blend *, int64_t i, int64_t *nth);

#endif
