/* How far a result may lie from its reference, by precision: from the number of roundings on its way. */
#ifndef CMD_BARS_H
#define CMD_BARS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/dtype.h"

/* Relative, but for `turned`. */
struct bars {
    double logits;            /* max|difference| / max|logit| */
    double gradient;          /* |difference| / |gradient|, of every array */
    double loss;              /* cross-entropy, routing losses and their sum */
    double norm;              /* of the whole gradient */
    double curve, curve_norm; /* loss and norm of every training step */
    double final;             /* |difference| / |parameters| after them, and beyond it: */
    double turned;            /* root mean square of what an update is off by, in learning rates */
    bool turns; /* a routing choice may be another one: logits, gradients and parameters are not judged */
};

/** What decides the bars of a batch or a training curve. */
struct judged {
    dtype stored;     /* type of the activations */
    int64_t layers;   /* of the model */
    int64_t targets;  /* that are counted, of the step with fewest */
    double margin;    /* the smallest gap by which a choice was decided; infinite: none was made */
    double max_logit; /* of the router: root mean square of a token's largest */
};
struct bars bars_of(const struct judged *);

#endif
