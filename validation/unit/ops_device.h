/* The device under test. A device with memory of its own can be tested by a program that is linked with
 * validation/cuda-on-cpu/staged.cc: there it is CUDA, elsewhere the CPU, unless `--device NAME` says another.
 */
#ifndef UNIT_OPS_DEVICE_H
#define UNIT_OPS_DEVICE_H
#include "device/dev.h"

/** Makes ops take views of host memory; NULL where the program cannot. */
extern void (*ops_stage)(struct dev *);
/** To be called first. Takes --device NAME out of the arguments. */
void ops_arguments(int *argc, char **argv);
bool ops_on_cpu(void);
/** Opens the device under test; ends the program if that fails. */
struct dev *ops_open(int threads, enum dev_check);
#endif
