/* Write a model as a Hugging Face directory: config.json, safetensors (old names, one array for each expert)
 * and the source's tokenizer files. It goes tensor by tensor in blocks. Local, without MPI, so it runs on a
 * login node. */
#ifndef WEIGHTS_EXPORT_H
#define WEIGHTS_EXPORT_H
#include "format/source.h"
#include "weights/forms.h"

struct export_options {
    const char *as;      /* the form, see export_form; NULL = auto */
    const char *dtype;   /* "float32" or "bfloat16" (rounded to nearest even) */
    int64_t shard_bytes; /* a larger model is written as several files with an index */
};
/** Write `source`, whose arrays have the names of the tensors of this config, into the new folder out_dir. It
 * is written as OUT_DIR.partial, which is renamed when complete and removed on failure (format/outdir.h).
 * E_DECK: wrong out_dir, as or dtype. E_DATA: wrong source, or no form can describe the model. E_SPACE:
 * cannot write. */
status export_hf(struct source *source, const struct config *, const char *out_dir,
                 const struct export_options *) MUST_USE;

#endif
