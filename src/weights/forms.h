/* The forms of a Hugging Face directory that a model can be exported as: one table. Local, pure.
 *     const struct form *form;
 *     if (export_form(&form, &config, "auto") != OK)
 *         log_warn("%s", status_text());   // why no form can say the model, and which deck key it is */
#ifndef WEIGHTS_FORMS_H
#define WEIGHTS_FORMS_H
#include "weights/names.h"

struct form {
    const char *type; /* model_type in config.json */
    bool moe;
    enum naming naming;
    /** Why this form cannot say the model: a static text that names the deck key. NULL: it can. */
    const char *(*refusal)(const struct config *);
};

/** The form for an export of this model. `wanted`: "auto" (or NULL: the first row of the table that can say
 *  the model) or a row's type: llama, mistral, qwen2, mixtral, qwen2_moe. A form that can say the model
 *  gives the same logits in Hugging Face transformers. E_DATA with the reason if it cannot say the model
 *  (auto: if none can); E_DECK if there is no such form. */
status export_form(const struct form **, const struct config *, const char *wanted) MUST_USE;

#endif
