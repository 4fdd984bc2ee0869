/* The closing lines of a leg: time by phase, traffic, profile, losses, memory, warnings. */
#ifndef TRAIN_SUMMARY_H
#define TRAIN_SUMMARY_H
#include "train/report.h"

/** COLLECTIVE. `word` is DONE or STOPPED. */
void summary_show(const struct report *, const struct trainer *, const char *word);

#endif
