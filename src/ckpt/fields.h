/* Inside ckpt/: the tables of index.h5: tensors, kinds and types, extents. Not collective. Errors are those
 * of ckpt/book.h. */
#ifndef CKPT_FIELDS_H
#define CKPT_FIELDS_H
#include "ckpt/book.h"
#include "ckpt/extent.h"

status fields_put_tensors(struct book *, const struct ckpt_index *) MUST_USE;
status fields_get_tensors(struct book *, struct ckpt_index *) MUST_USE;
/** The lists that the columns kind and type of extents index: before these. */
status fields_put_lists(struct book *) MUST_USE;
status fields_get_lists(struct book *) MUST_USE;
status fields_put_extents(struct book *, const struct ckpt_index *) MUST_USE;
/** After tensors, lists and files. They are sorted, and hold each element that is saved once. */
status fields_get_extents(struct book *, struct ckpt_index *) MUST_USE;

#endif
