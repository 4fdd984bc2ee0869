/* From config.json's form of a model's shape to ours, and back. Pure. */
#ifndef WEIGHTS_CONFIG_HF_H
#define WEIGHTS_CONFIG_HF_H
#include "format/hf_config.h"
#include "model/config.h"
#include "weights/forms.h"

/** The shape that a config.json gives. For Mixtral: topk-softmax, G = 1, ffn = the experts' width, dropless,
 * no losses; the deck may set what config.json cannot say. E_DATA if a size exceeds our tables; config_check
 * judges whether the shape makes sense. */
status config_from_hf(struct config *, const struct hf_config *) MUST_USE;
/** The config.json of a shape, in a form that export_form found. Free it by hf_config_free. */
void config_to_hf(struct hf_config *, const struct config *, const struct form *);

#endif
