/* The forms of a Hugging Face directory that a model can be exported as: one table. Local, pure.
 *     const struct form *form;
 *     if (export_form(&form, &config, "auto") != OK)
 *         log_warn("%s", status_text());   // the reason, with the deck key that it is about */
#ifndef WEIGHTS_FORMS_H
#define WEIGHTS_FORMS_H
#include "weights/names.h"

struct form {
    const char *type; /* model_type in config.json */
    bool moe;
    enum naming naming;
    /** Why this form cannot describe the model: a static text that names the deck key; NULL if it can. */
    const char *(*refusal)(const struct config *);
};

/** The form for an export of this model. `wanted` is llama, mistral, qwen2, mixtral or qwen2_moe; with "auto"
 * or NULL it is the first form that can describe the model. Exported in such a form, the model has the same
 * logits in Hugging Face transformers. E_DATA with the reason if the form (auto: every form) cannot describe
 * the model; E_DECK if there is no such form. */
status export_form(const struct form **, const struct config *, const char *wanted) MUST_USE;

#endif
