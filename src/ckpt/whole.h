/* Inside ckpt/: tensors.h5, for people and their programs: each tensor whole, by its name, as a virtual
 * dataset over the files of the ranks (weights/NAME, moment1/NAME, moment2/NAME). The loader never looks at
 * it. Local.
 */
#ifndef CKPT_WHOLE_H
#define CKPT_WHOLE_H
#include "ckpt/extent.h"

struct whole_file { /* of each file of the index, its dataset */
    int64_t offset, elements;
};
/** The extents are put in order. E_SPACE. */
status ckpt_whole_write(struct ckpt_index *, const struct whole_file *, const char *path) MUST_USE;

#endif
