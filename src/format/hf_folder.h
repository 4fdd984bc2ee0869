/* Why a path is no model, or has no weights: the likely cause and what to do, for messages. Not collective.
 */
#ifndef FORMAT_HF_FOLDER_H
#define FORMAT_HF_FOLDER_H
#include "base/status.h"

/** For a path without config.json that is no checkpoint. E_DATA: "PATH: what it is, and what to do". */
status hf_folder_no_model(const char *path) MUST_USE;
/** For a directory with neither model.safetensors nor its index. E_DATA. */
status hf_folder_no_weights(const char *dir) MUST_USE;

#endif
