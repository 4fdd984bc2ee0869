/* Types of numbers in device memory, and their sizes. */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H
#include <stdint.h>

typedef enum { F32, BF16, I32, F64 } dtype; /* F64 is for sums of a step */
int64_t dtype_size(dtype);

#endif
