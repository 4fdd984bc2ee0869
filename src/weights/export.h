/* A model as a Hugging Face directory: config.json and safetensors, old Mixtral names, tensor by
 * tensor in blocks. Local, no MPI: runs on a login node. */
#ifndef WEIGHTS_EXPORT_H
#define WEIGHTS_EXPORT_H
#include "format/source.h"
#include "model/config.h"

/** Can Hugging Face's llama, qwen2 or mixtral say this model? E_DATA with the reason if not. */
status export_check(const struct config *) MUST_USE;
/** Write `source` (arrays named as the tensors of a model of this config) into the new folder
 *  out_dir as "float32" or "bfloat16" (rounded to nearest even). Above shard_bytes of data the model
 *  is cut into several files and an index. Everything is written into OUT_DIR.partial, which is
 *  renamed when complete and removed on failure. E_DECK: out_dir exists and is not empty, or dtype is
 *  neither; E_DATA: source or export_check; E_SPACE: cannot write. */
status export_hf(struct source *source, const struct config *, const char *out_dir, const char *dtype,
                 int64_t shard_bytes) MUST_USE;

#endif
