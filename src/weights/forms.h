/* The forms of a Hugging Face directory that a model can be exported as: one table. Local, pure.
 *     const struct form *form;
 *     if (export_form(&form, &config, "auto") != OK)
 *         log_warn("%s", status_text());   // the reason, with the deck key that it is about */
#ifndef WEIGHTS_FORMS_H
#define WEIGHTS_FORMS_H
#include "weights/names.h"

/* What a model may have that not every form can say. */
enum says {
    SAYS_WINDOW = 1,       /* attention has a sliding window */
    SAYS_BIASES = 2,       /* on Q, K and V */
    SAYS_NORMS = 4,        /* of Q and K */
    SAYS_BARE = 8,         /* layers without rotary positions */
    SAYS_MULTIPLIERS = 16, /* of embedding, attention, residual stream and logits */
    SAYS_SOME = 32,        /* only some layers have experts */
    SAYS_WEIGHTS = 64,     /* a token's expert weights need not sum to 1 */
    SAYS_SHARED = 128,     /* shared experts */
    SAYS_BALANCING = 256,  /* a bias on the choice */
    SAYS_WHOLE = 512       /* only some layers have the window */
};

struct form {
    const char *type; /* model_type in config.json */
    bool moe;
    bool one_width; /* intermediate_size is the width of an expert */
    enum naming naming;
    int says;  /* SAYS_... that it can say ... */
    int needs; /* ... and that it always says */
};

/** The form for an export of this model. `wanted`: "auto" (or NULL: the first row of the table that can say
 *  the model) or a row's type. A form that can say the model gives the same logits in Hugging Face
 *  transformers. E_DATA with the reason if it cannot say the model (auto: the reasons of the form that comes
 *  nearest); E_DECK if there is no such form. */
status export_form(const struct form **, const struct config *, const char *wanted) MUST_USE;

#endif
