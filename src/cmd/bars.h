/* How far a result may lie from its reference, by precision. It follows from the number of roundings. */
#ifndef CMD_BARS_H
#define CMD_BARS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/dtype.h"

/* All are relative except `turned`. */
struct bars {
    double logits;            /* max|difference| / max|logit| */
    double gradient;          /* |difference| / |gradient| of every array */
    double loss;              /* cross-entropy, routing losses and their sum */
    double norm;              /* of the whole gradient */
    double curve, curve_norm; /* loss and norm of every training step */
    double final;             /* |difference| / |parameters| after these steps, apart from `turned` */
    double turned;            /* error of an update in learning rates, as root mean square over elements */
    bool turns; /* a routing choice may differ, so logits, gradients and parameters are not judged */
};

/** What the bars of a batch or of a training curve depend on. */
struct judged {
    dtype stored;     /* type of the activations */
    int64_t layers;   /* of the model */
    int64_t targets;  /* counted targets of the step that has fewest */
    double margin;    /* the smallest gap that decided a routing choice; infinite if there was none */
    double max_logit; /* root mean square over tokens of the router's largest logit */
};
struct bars bars_of(const struct judged *);

#endif
