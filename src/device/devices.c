/* The devices that this program was built with. Compiled a second time for the program that runs CUDA on the
 * CPU (validation/cuda-on-cpu). */
#ifdef HAVE_CONFIG_H
#    include "config.h"
#endif
#include "device/ops.h"
#if defined HAVE_CUDA || defined CUDA_ON_CPU
extern const struct dev_ops dev_cuda_ops;
#endif

const struct dev_ops *const dev_devices[] = {&dev_cpu_ops,
#if defined HAVE_CUDA || defined CUDA_ON_CPU
                                             &dev_cuda_ops,
#endif
                                             NULL};
