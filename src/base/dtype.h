/* Types of numbers in device memory, and their sizes. */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H
#include <stdint.h>

typedef enum { F32, BF16, I32, F64 } dtype; /* F64: sums of a step alone */
int64_t dtype_size(dtype);

#endif
