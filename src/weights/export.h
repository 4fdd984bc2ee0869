/* A model as a Hugging Face directory: config.json, safetensors (old names, one array an expert) and the
 * source's tokenizer files, tensor by tensor in blocks. Local, no MPI: runs on a login node. */
#ifndef WEIGHTS_EXPORT_H
#define WEIGHTS_EXPORT_H
#include "format/source.h"
#include "weights/forms.h"

struct export_options {
    const char *as;      /* a form, see export_form; NULL = auto */
    const char *dtype;   /* "float32" or "bfloat16" (rounded to nearest even) */
    int64_t shard_bytes; /* above so much data the model is cut into several files and an index */
};
/** Write `source` (arrays named as the tensors of a model of this config) into the new folder out_dir. All is
 *  written into OUT_DIR.partial, which is renamed when complete and removed on failure (format/outdir.h).
 *  E_DECK: out_dir, as or dtype; E_DATA: source, or no form can say the model; E_SPACE: cannot write. */
status export_hf(struct source *source, const struct config *, const char *out_dir,
                 const struct export_options *) MUST_USE;

#endif
