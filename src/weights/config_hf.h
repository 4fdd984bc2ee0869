/* config.json's view of a model's shape <-> ours. Pure. */
#ifndef WEIGHTS_CONFIG_HF_H
#define WEIGHTS_CONFIG_HF_H
#include "format/hf_config.h"
#include "model/config.h"
#include "weights/forms.h"

/** The shape that a config.json gives. Mixtral: topk-softmax, G = 1, ffn = the experts' width, dropless,
 *  no losses: what config.json cannot say is the deck's to say. E_DATA if our tables are too small;
 *  whether the shape makes sense is config_check's business. */
status config_from_hf(struct config *, const struct hf_config *) MUST_USE;
/** The config.json of a shape in a form that can say it (export_form). Free with hf_config_free. */
void config_to_hf(struct hf_config *, const struct config *, const struct form *);

#endif
