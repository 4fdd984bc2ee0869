/* What a path probably is that is no model, or holds no weights: the cause and the way on, for messages.
 * Not collective. */
#ifndef FORMAT_HF_FOLDER_H
#define FORMAT_HF_FOLDER_H
#include "base/status.h"

/** `path` has no config.json and is no checkpoint. E_DATA: "PATH: what it is, and what to do". */
status hf_folder_no_model(const char *path) MUST_USE;
/** `dir` has neither model.safetensors nor its index. E_DATA. */
status hf_folder_no_weights(const char *dir) MUST_USE;

#endif
