/* A machine: rates, latencies and sizes of one rank's device, of a node and of the network. A table of keys
 * (machine.c) reads and writes the files in input/machines/. Units: s, B, FLOP/s, B/s. Local. */
#ifndef PLAN_MACHINE_H
#define PLAN_MACHINE_H
#include <stdbool.h>
#include <stdio.h>
#include "base/status.h"

enum { MACHINE_RATES = 3, MACHINE_NAME = 80 };

struct machine {
    char name[MACHINE_NAME];
    char file[256]; /* the file that it was read from; "" = none */
    double peak;    /* denominator of MFU */
    double gemm, sms, k0;
    double sizes[MACHINE_RATES], rates[MACHINE_RATES];
    double attn_fwd, attn_fwd_half, attn_bwd, attn_bwd_half;
    double memory;
    double coll, a2a, network, near_latency, far_latency;
    double gap, hide, hide_sms;
    double node, capacity, context;
    double file_rate, mtbf, watts;
    double band; /* relative error to expect of a step's time */
};

/** Read a machine file. A name without a slash that is not a file in the current folder is looked for among
 * the installed machine files. E_DECK with FILE:LINE:COLUMN: an unknown key (with the nearest one), a value
 * out of range, a missing key. */
status machine_read(struct machine *, const char *file) MUST_USE;
/** Write a file that machine_read reads, with the meaning of each key behind it. */
void machine_write(const struct machine *, FILE *);
/** FLOP/s of a product rows x columns x k, from the rates of the three sizes that were measured; `gemm` if
 * there are none. */
double machine_gemm_rate(const struct machine *, double rows, double columns, double k);

#endif
