/* Saving in three parts. Snapshot (the calling thread): room, a file a writer group, copies of all pieces in
 * host memory, or where they lie if the caller waits. Write (crews of threads): scan, digest, pwrite, fsync;
 * no MPI, no HDF5, no log. Commit (the calling thread again): index, rename. After that the pieces are read
 * back from the disk, and only then older checkpoints may go. Fallible work is local, in functions of its
 * own; ranks agree before the next step begins. */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/extent.h"
#include "ckpt/notes.h"
#include "ckpt/step_dir.h"
#include "ckpt/whole.h"
#include "ckpt/write.h"
#include "config.h"
#include "format/h5.h"

enum { RING = 4 }; /* pieces in flight where the host cannot read the device's memory */

struct saver {
    struct comm *comm;
    const struct store *store;
    struct saver_how how;
    struct region_plan plan;
    struct writing region;
    float
        *room; /* copies: of the whole region, or of RING pieces; NULL if pieces are written from the store */
    int64_t bytes; /* of the checkpoint's tensors, of all ranks */
    enum saver_phase phase;
    bool rooted;             /* the names of run_dir and run_dir/ckpt are on disk */
    struct whole_file *file; /* [plan.n_files] */
    struct crew *crew;
    status begun;             /* of opening the file, judged at the commit */
    char *why;                /* its words */
    struct ckpt_state state;  /* of the checkpoint that is being saved; texts are the caller's */
    double started, finished; /* clock */
};

/* ---- memory for copies ---- */

static bool in_place(const struct saver *s)
{
    return !s->how.async && dev_host_memory(s->store->dev);
}

/* Of the whole region; a ring of pieces if the host cannot read the device's memory; else none. */
static int64_t room_bytes(const struct saver *s)
{
    int64_t all = ckpt_copy_bytes(s->store), ring = (int64_t)RING * EXTENT_ELEMENTS * (int64_t)sizeof(float);
    return in_place(s) ? 0 : s->how.async ? all : ring;
}

void saver_open(struct saver **out, struct comm *c, const struct store *store, const struct saver_how *how)
{
    struct saver *s = mem_new(1, sizeof *s);
    *s = (struct saver){.comm = c, .store = store, .how = *how, .plan = region_plan(c, store, how->writers)};
    writing_open(&s->region, store, &s->plan);
    int64_t bytes = room_bytes(s);
    if (bytes > 0) {
        s->room = dev_host_alloc(store->dev, bytes);
        mem_touch(s->room, bytes); /* the first save shall not wait for pages */
    }
    s->file = mem_new(s->plan.n_files, sizeof *s->file);
    s->bytes = s->plan.mine * (int64_t)sizeof(float);
    comm_sum_i64(c, &s->bytes, 1);
    *out = s;
}

void saver_close(struct saver *s)
{
    if (!s)
        return;
    if (s->crew) {
        crew_stop(s->crew);
        status given_up = crew_end(s->crew);
        (void)given_up;
    }
    if (s->room)
        dev_host_free(s->store->dev, s->room);
    writing_close(&s->region);
    free(s->file);
    free(s->why);
    free(s);
}

enum saver_phase saver_phase(const struct saver *s)
{
    return s->phase;
}

bool saver_is_async(const struct saver *s)
{
    return s->how.async;
}

bool saver_busy(const struct saver *s)
{
    return s->crew && crew_busy(s->crew);
}

/* ---- snapshot ---- */

/* Rank 0. */
static status begin_folder(const struct saver *s)
{
    TRY(lock_check(s->how.lock, true));
    ckpt_sweep(s->how.run_dir);
    TRY(ckpt_room(s->how.run_dir, ckpt_bytes(s->store->model), 1));
    TRY(step_dir_begin(s->how.run_dir, s->state.step));
    if (s->rooted)
        return OK;
    TRY(notes_begin(s->how.run_dir, s->state.run));
    return step_dir_root(s->how.run_dir);
}

/* "DIR/shard_0003.h5"; caller frees. */
static char *file_in(const struct saver *s, const char *suffix)
{
    char *dir = step_dir_path(s->how.run_dir, s->state.step, suffix);
    char *path = mem_format("%s/shard_%04d.h5", dir, s->plan.file);
    free(dir);
    return path;
}

/* After a failure nothing of it stays. */
static void remove_draft(const struct saver *s)
{
    char *dir = step_dir_path(s->how.run_dir, s->state.step, ".tmp");
    if (comm_rank(s->comm) == 0 && lock_check(s->how.lock, true) == OK)
        step_dir_remove(dir);
    free(dir);
}

/* COLLECTIVE: a file for each group, and where its dataset begins. */
static status lay_out(struct saver *s)
{
    char *path = file_in(s, ".tmp");
    struct {
        int64_t file;
        struct whole_file data;
    } mine = {.data.elements = s->plan.elements}, *all = mem_new(comm_size(s->comm), sizeof *all);
    status code = s->plan.first ? writing_lay_out(&s->plan, path, &mine.data.offset) : OK;
    mine.file = s->plan.first ? s->plan.file : -1;
    code = comm_agree(s->comm, code);
    comm_all_gather(s->comm, all, &mine, sizeof mine);
    for (int i = 0; i < comm_size(s->comm); i++)
        if (all[i].file >= 0)
            s->file[all[i].file] = all[i].data;
    writing_place(&s->region, &s->plan, path, s->file[s->plan.file].offset);
    free(all);
    free(path);
    return code;
}

/* Where piece i comes to lie for those who write it. In a ring of slots it waits until its slot is free. */
static void take_piece(struct saver *s, int i)
{
    struct piece_out *p = &s->region.piece[i];
    view part = view_cols(store_shard(s->store, &p->whole), p->done, p->extent.shard.part.n);
    if (in_place(s)) {
        p->from = part.data;
        return;
    }
    if (!s->how.async && i >= RING)
        crew_wait(s->crew, i - RING);
    float *to = s->room + (s->how.async ? p->at : (int64_t)(i % RING) * EXTENT_ELEMENTS);
    p->from = to;
    if (s->how.async) {
        dev_download_async(s->store->dev, to, part);
    } else {
        dev_download(s->store->dev, to, part);
        crew_offer(s->crew, i + 1);
    }
}

/* The pieces to a crew. One thread beside a computing rank; all that the rank has where it waits. */
static void start_writing(struct saver *s)
{
    struct writing *r = &s->region;
    s->begun = writing_begin(r);
    s->why = s->begun == OK ? NULL : mem_text(status_text());
    if (s->begun != OK)
        return;
    dev_sync(s->store->dev);
    s->crew = crew_start(s->how.async ? 1 : s->how.threads - in_place(s), r->n + 1, writing_write, r);
    for (int i = 0; i < r->n; i++)
        take_piece(s, i);
    if (s->how.async)
        dev_wait_host(s->store->dev, dev_mark(s->store->dev, COPIES));
    crew_offer(s->crew, s->how.async ? r->n + 1 : r->n);
}

/* COLLECTIVE. */
static status begin(struct saver *s)
{
    TRY(comm_agree(s->comm, comm_rank(s->comm) == 0 ? begin_folder(s) : OK));
    s->rooted = true;
    return lay_out(s);
}

status saver_begin(struct saver *s, const struct ckpt_state *state)
{
    s->state = *state;
    s->started = clock_seconds();
    status code = begin(s);
    if (code != OK) {
        remove_draft(s);
        return code;
    }
    start_writing(s);
    s->phase = SAVER_WRITING;
    return OK;
}

/* ---- commit ---- */

/* Local: wait for the crew. Several threads end in any order: then the file is synced here. */
static status end_writing(struct saver *s)
{
    if (s->begun != OK)
        return fail(s->begun, "%s", s->why);
    if (s->how.async && s->region.n > 0)
        crew_wait(s->crew, s->region.n - 1); /* else this thread would close the file while another writes */
    status code = crew_end(s->crew);
    s->crew = NULL;
    if (code == OK && !s->how.async)
        code = writing_write(&s->region, s->region.n);
    return code;
}

/* What wrote it, for people. Caller frees. */
static char *about(const struct saver *s)
{
    const struct layout *l = &s->store->layout;
    int hosts = 0;
    for (int i = 0; i < comm_size(s->comm); i++)
        hosts = comm_nodes(s->comm)[i] >= hosts ? comm_nodes(s->comm)[i] + 1 : hosts;
    json_t *j = json_pack("{ss ss ss s{si si si si si si}}", "program",
                          "Coppice " PACKAGE_VERSION " (" COPPICE_REVISION ")", "hdf5", h5_version(), "mpi",
                          comm_about(s->comm), "layout", "hosts", hosts, "ranks", l->world, "data", l->dp,
                          "tensor", l->tp, "expert", l->ep, "expert_tensor", l->etp);
    char *text = json_text(j, JSON_INDENT(2));
    json_decref(j);
    return text;
}

/* Rank 0: index.h5 and tensors.h5, from the extents of all ranks and what all ranks know. */
static status write_index(const struct saver *s, const char *dir, const uint64_t hash[KINDS],
                          struct extent *extent, int64_t n)
{
    const struct model *m = s->store->model;
    struct ckpt_index x = {.state = s->state,
                           .config = m->config,
                           .n_tensors = m->n_tensors,
                           .tensor = m->tensor,
                           .n_extents = (int)n,
                           .extent = extent,
                           .n_files = s->plan.n_files};
    char *path = mem_format("%s/index.h5", dir), *whole = mem_format("%s/tensors.h5", dir);
    x.about = about(s);
    x.file = mem_new(x.n_files, sizeof *x.file);
    memcpy(x.hash, hash, sizeof x.hash);
    for (int i = 0; i < x.n_files; i++)
        x.file[i] = mem_format("shard_%04d.h5", i);
    status code = ckpt_whole_write(&x, s->file, whole);
    if (code == OK)
        code = ckpt_index_write(&x, path);
    for (int i = 0; i < x.n_files; i++)
        free(x.file[i]);
    free(x.file);
    free(x.about);
    free(path);
    free(whole);
    return code;
}

/* Rank 0. */
static status publish(const struct saver *s, const uint64_t hash[KINDS], struct extent *extent, int64_t n)
{
    char *dir = step_dir_path(s->how.run_dir, s->state.step, ".tmp");
    status code = write_index(s, dir, hash, extent, n);
    free(dir);
    TRY(code);
    TRY(lock_check(s->how.lock, true));
    TRY(step_dir_commit(s->how.run_dir, s->state.step));
    step_dir_latest(s->how.run_dir, s->state.step);
    return OK;
}

/* COLLECTIVE: gather the extents, add the hashes, publish. */
static status commit(struct saver *s)
{
    const struct writing *r = &s->region;
    uint64_t hash[KINDS] = {0};
    int64_t *bytes_of = mem_new(comm_size(s->comm), sizeof *bytes_of), bytes = 0;
    struct extent *mine = mem_new(r->n, sizeof *mine);
    char *all = NULL;
    for (int i = 0; i < r->n; i++) {
        mine[i] = r->piece[i].extent;
        hash[mine[i].shard.kind] += r->piece[i].hash;
    }
    for (int k = 0; k < SAVED_KINDS; k++)
        hash[saved_kind(k)] = comm_sum_u64(s->comm, hash[saved_kind(k)]);
    comm_gather_v(s->comm, &all, bytes_of, mine, r->n * (int64_t)sizeof *mine);
    for (int i = 0; i < comm_size(s->comm) && all; i++)
        bytes += bytes_of[i];
    status code = comm_rank(s->comm) == 0
                      ? publish(s, hash, (struct extent *)(void *)all, bytes / (int64_t)sizeof *mine)
                      : OK;
    free(all);
    free(mine);
    free(bytes_of);
    return comm_agree(s->comm, code);
}

status saver_commit(struct saver *s, struct saved *saved)
{
    status code = comm_agree(s->comm, end_writing(s));
    if (code == OK)
        code = commit(s);
    if (code != OK)
        remove_draft(s);
    s->phase = code == OK ? SAVER_COMMITTED : SAVER_IDLE;
    s->finished = clock_seconds();
    *saved = (struct saved){.step = s->state.step, .bytes = s->bytes, .seconds = s->finished - s->started};
    free(s->why);
    s->why = NULL;
    return code;
}

/* ---- verification ---- */

void saver_verify(struct saver *s)
{
    char *path = file_in(s, "");
    s->begun = writing_reopen(&s->region, path);
    s->why = s->begun == OK ? NULL : mem_text(status_text());
    free(path);
    s->phase = SAVER_VERIFYING;
    if (s->begun != OK)
        return;
    s->crew = crew_start(1, s->region.n, writing_verify, &s->region);
    crew_offer(s->crew, s->region.n);
}

static status check_index(const struct saver *s)
{
    char *dir = step_dir_path(s->how.run_dir, s->state.step, "");
    status code = ckpt_usable(dir);
    free(dir);
    return code;
}

status saver_verified(struct saver *s)
{
    status code = s->begun == OK ? crew_end(s->crew) : fail(s->begun, "%s", s->why);
    s->crew = NULL;
    free(s->why);
    s->why = NULL;
    if (code == OK && comm_rank(s->comm) == 0)
        code = check_index(s);
    s->phase = SAVER_IDLE;
    return comm_agree(s->comm, code);
}

/* ---- all at once ---- */

status ckpt_save(struct comm *c, const struct store *store, const struct ckpt_state *state,
                 const struct saver_how *how, int64_t *bytes)
{
    struct saver *s;
    struct saved saved = {0};
    saver_open(&s, c, store, how);
    status code = saver_begin(s, state);
    if (code == OK)
        code = saver_commit(s, &saved);
    *bytes = saved.bytes;
    saver_close(s);
    return code;
}
