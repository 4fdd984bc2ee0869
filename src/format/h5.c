#include "format/h5_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"

enum { ALIGNMENT = 4096 };

/* ---- the library ---- */

/* To be called before any other call of the library. It must not lock files: network file systems may refuse
 * that, the run folder has a lock of its own, and nobody writes a file that somebody reads. */
static void library_start(void)
{
    static bool started;
    if (started)
        return;
    started = true;
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
    H5dont_atexit(); /* the library's clean-up at exit crashes after a full disk */
    H5open();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLset_loading_state(0); /* a file must not be able to load code */
}

/* ---- errors ---- */

/* For a failed system call HDF5 reports time, file, buffer and so on. Only the system's message is kept. */
static herr_t keep_description(unsigned depth, const H5E_error2_t *e, void *text)
{
    static const char mark[] = "error message = '";
    const char *at = depth == 0 ? strstr(e->desc, mark) : NULL;
    if (at)
        snprintf(text, 256, "%.*s", (int)strcspn(at + strlen(mark), "'"), at + strlen(mark));
    else if (depth == 0)
        snprintf(text, 256, "%.*s", (int)strcspn(e->desc, "\n"), e->desc);
    return 0;
}

/* The innermost description has the reason; the outer ones only say who called. */
status h5_fail(const struct h5 *h, const char *name, const char *doing)
{
    char why[256];
    snprintf(why, sizeof why, "%s", errno ? strerror(errno) : "unknown reason");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_description, why);
    H5Eclear2(H5E_DEFAULT);
    return fail(h->created ? E_SPACE : E_DATA, "%s: %s %s: %s (HDF5 %s)", h->path, doing, name, why,
                h5_version());
}

const char *h5_version(void)
{
    static char text[32];
    unsigned major = 0, minor = 0, release = 0;
    library_start();
    H5get_libversion(&major, &minor, &release);
    snprintf(text, sizeof text, "%u.%u.%u", major, minor, release);
    return text;
}

/* ---- files ---- */

static struct h5 *h5_new(const char *path, bool created)
{
    struct h5 *h = mem_new(1, sizeof *h);
    h->file = H5I_INVALID_HID;
    h->path = mem_text(path);
    h->created = created;
    return h;
}

static void h5_free(struct h5 *h)
{
    free(h->path);
    free(h);
}

/* In the format of HDF5 1.10 all metadata have checksums, and a file that was not closed cannot be opened. */
static hid_t access_list(void)
{
    library_start();
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_alignment(list, ALIGNMENT, ALIGNMENT);
    H5Pset_fclose_degree(list, H5F_CLOSE_STRONG);
    return list;
}

status h5_create(struct h5 **out, const char *path)
{
    struct h5 *h = h5_new(path, true);
    hid_t list = access_list(), create = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_obj_track_times(create, false);
    h->file = io_fails(IO_open, path) ? H5I_INVALID_HID : H5Fcreate(path, H5F_ACC_EXCL, create, list);
    status s = h->file >= 0 ? OK : h5_fail(h, "the file", "cannot create");
    H5Pclose(create);
    H5Pclose(list);
    if (s == OK)
        *out = h;
    else
        h5_free(h);
    return s;
}

/* `path` is for messages. Takes ownership of the access list. */
static status open_as(struct h5 **out, const char *path, const char *name, int64_t size, hid_t list)
{
    struct h5 *h = h5_new(path, false);
    h->file = H5Fopen(name, H5F_ACC_RDONLY, list);
    status s =
        h->file >= 0 ? OK : h5_fail(h, "as HDF5", "cannot open"); /* HDF5's next call forgets the reason */
    H5Pclose(list);
    if (s != OK) {
        h5_free(h);
        return s;
    }
    h->size = size;
    *out = h;
    return OK;
}

status h5_open(struct h5 **out, const char *path)
{
    int fd;
    int64_t size;
    TRY(file_open(&fd, &size, path));
    io_close(fd);
    return open_as(out, path, path, size, access_list());
}

status h5_open_bytes(struct h5 **out, const char *path, const void *bytes, int64_t n)
{
    hid_t list = access_list();
    void *image = (void *)(uintptr_t)bytes;        /* HDF5 copies the bytes */
    char *name = mem_format("%s/in memory", path); /* HDF5 needs a name that no file has */
    H5Pset_fapl_core(list, 1 << 16, false);
    H5Pset_file_image(list, image, (size_t)n);
    status s = open_as(out, path, name, n, list);
    free(name);
    return s;
}

/* HDF5 does not sync a file that it closes. */
static status sync_file(const char *path)
{
    int fd = io_open(path, O_RDONLY, 0);
    bool good = fd >= 0 && io_fsync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        io_close(fd);
    return good ? OK : fail(E_SPACE, "%s: cannot sync to disk: %s", path, strerror(error));
}

static status close_as(struct h5 *h, bool synced)
{
    status s = OK;
    if (h->created && (io_fails(IO_fsync, h->path) || H5Fflush(h->file, H5F_SCOPE_GLOBAL) < 0))
        s = h5_fail(h, "the file", "cannot flush");
    if ((H5Fclose(h->file) < 0 || io_fails(IO_close, h->path)) && s == OK)
        s = h5_fail(h, "the file", "cannot close");
    if (s == OK && h->created && synced)
        s = sync_file(h->path);
    h5_free(h);
    return s;
}

status h5_close(struct h5 *h)
{
    return close_as(h, true);
}

status h5_close_unsynced(struct h5 *h)
{
    return close_as(h, false);
}

void h5_abandon(struct h5 *h)
{
    if (!h)
        return;
    H5Fclose(h->file);
    H5Eclear2(H5E_DEFAULT);
    h5_free(h);
}

/* ---- writing ---- */

/* H5Pset_create_intermediate_group would store the time of day in the groups. */
static void create_groups(struct h5 *h, const char *name)
{
    char part[256];
    hid_t create = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(create, false);
    for (const char *end = strchr(name, '/'); end; end = strchr(end + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(end - name), name);
        if (H5Lexists(h->file, part, H5P_DEFAULT) == 0)
            H5Gclose(H5Gcreate2(h->file, part, H5P_DEFAULT, create, H5P_DEFAULT));
    }
    H5Pclose(create); /* if a group failed, its dataset fails too and gives the reason */
}

/* `name` is relative to the root: "bucket_0003/master". */
static hid_t create_dataset(struct h5 *h, const char *name, hid_t type, int rank, const int64_t *dim)
{
    const hsize_t size[2] = {rank > 0 ? (hsize_t)dim[0] : 0, rank > 1 ? (hsize_t)dim[1] : 0};
    hid_t space = rank > 0 ? H5Screate_simple(rank, size, NULL) : H5Screate(H5S_SCALAR);
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    create_groups(h, name);
    H5Pset_layout(create, H5D_CONTIGUOUS);
    H5Pset_alloc_time(create, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(create, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(create, false);
    hid_t id = H5Dcreate2(h->file, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    H5Pclose(create);
    H5Sclose(space);
    return id;
}

static status write_dataset(struct h5 *h, const char *name, hid_t type, int rank, const int64_t *dim,
                            const void *x)
{
    hid_t id = create_dataset(h, name, type, rank, dim);
    bool empty = rank > 0 && (dim[0] == 0 || (rank > 1 && dim[1] == 0));
    bool good = id >= 0 && !io_fails(IO_pwrite, h->path) &&
                (empty || H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
    status s = good ? OK : h5_fail(h, name, "cannot write");
    if (id >= 0 && H5Dclose(id) < 0 && s == OK)
        s = h5_fail(h, name, "cannot close");
    return s;
}

status h5_layout_f32(struct h5 *h, const char *name, int64_t n, int64_t *offset)
{
    hid_t id = create_dataset(h, name, H5T_IEEE_F32LE, 1, &n);
    haddr_t at = id >= 0 && n > 0 ? H5Dget_offset(id) : 0;
    if (id < 0 || at == HADDR_UNDEF || H5Dclose(id) < 0)
        return h5_fail(h, name, "cannot lay out");
    *offset = (int64_t)at;
    return OK;
}

/* Of row-major boxes and their elements in a row: both are taken in order. */
static bool add_part(hid_t create, hid_t space, int rank, const struct h5_part *p)
{
    hsize_t lo[3], n[3], count = 1, from = (hsize_t)p->from, elements = (hsize_t)p->elements;
    for (int i = 0; i < rank; i++) {
        lo[i] = (hsize_t)p->box.lo[3 - rank + i];
        n[i] = (hsize_t)p->box.n[3 - rank + i];
        count *= n[i];
    }
    hid_t source = H5Screate_simple(1, &elements, NULL);
    bool good = H5Sselect_hyperslab(space, H5S_SELECT_SET, lo, NULL, n, NULL) >= 0 &&
                H5Sselect_hyperslab(source, H5S_SELECT_SET, &from, NULL, &count, NULL) >= 0 &&
                H5Pset_virtual(create, space, p->file, p->dataset, source) >= 0;
    H5Sclose(source);
    return good;
}

status h5_write_virtual(struct h5 *h, const char *name, int rank, const int64_t *dim,
                        const struct h5_part *part, int n)
{
    hsize_t size[3] = {0};
    for (int i = 0; i < rank; i++)
        size[i] = (hsize_t)dim[i];
    hid_t space = H5Screate_simple(rank, size, NULL), create = H5Pcreate(H5P_DATASET_CREATE),
          id = H5I_INVALID_HID;
    bool good = !io_fails(IO_pwrite, h->path);
    create_groups(h, name);
    H5Pset_obj_track_times(create, false);
    for (int i = 0; i < n && good; i++)
        good = add_part(create, space, rank, &part[i]);
    H5Sselect_all(space);
    if (good)
        id = H5Dcreate2(h->file, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, create, H5P_DEFAULT);
    status s = id >= 0 && H5Dclose(id) >= 0 ? OK : h5_fail(h, name, "cannot write");
    H5Pclose(create);
    H5Sclose(space);
    return s;
}

status h5_write_i64(struct h5 *h, const char *name, const int64_t *x, int64_t rows, int64_t columns)
{
    const int64_t dim[2] = {rows, columns};
    return write_dataset(h, name, H5T_STD_I64LE, 2, dim, x);
}

/* Texts are fixed strings rather than bytes, so that h5dump shows them. */
static hid_t text_type(size_t bytes)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, bytes);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

status h5_write_text(struct h5 *h, const char *name, const char *text)
{
    size_t bytes = strlen(text);
    hid_t type = text_type(bytes ? bytes : 1);
    status s = write_dataset(h, name, type, 0, NULL, text);
    H5Tclose(type);
    return s;
}

status h5_write_lines(struct h5 *h, const char *name, char *const lines[], int64_t n)
{
    size_t longest = 1;
    for (int64_t i = 0; i < n; i++)
        longest = strlen(lines[i]) > longest ? strlen(lines[i]) : longest;
    char *all = mem_new(mem_mul(n, (int64_t)longest), 1);
    for (int64_t i = 0; i < n; i++)
        memcpy(all + (size_t)i * longest, lines[i], strlen(lines[i]));
    hid_t type = text_type(longest);
    status s = write_dataset(h, name, type, 1, &n, all);
    H5Tclose(type);
    free(all);
    return s;
}
