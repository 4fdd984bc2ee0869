/* format/h5: what it writes is plain HDF5 and reads back; hostile files are refused. */
#include "base/mem.h"
#include "format/h5.h"
#include "tap.h"
#include <fcntl.h>
#include <hdf5.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "t_h5.XXXXXX";
static char line[3][32] = {"embed", "layers.0.gate_up", "h\xc3\xa9"};
static char *const lines_in[] = {line[0], line[1], line[2]};
static const int64_t table[6] = {1, -2, INT64_MAX, INT64_MIN, 0, 7};

static char *in_folder(const char *file)
{
    return mem_format("%s/%s", folder, file);
}

static bool says(const char *part)
{
    bool found = strstr(status_text(), part) != NULL;
    if (!found)
        printf("# the message is: %s\n", status_text());
    return found;
}

static void write_all(struct h5 *h)
{
    int64_t at = -1, at2 = -1, none = -1;
    ok(h5_layout_f32(h, "bucket_0000/master", 5000, &at) == OK && at > 0 && at % 4096 == 0,
       "large data are aligned");
    ok(h5_layout_f32(h, "bucket_0000/moment1", 3, &at2) == OK && at2 > 0, "small data lie anywhere");
    ok(h5_layout_f32(h, "bucket_0001/master", 0, &none) == OK && none == 0, "no data");
    ok(h5_write_i64(h, "table", table, 3, 2) == OK && h5_write_i64(h, "empty", table, 0, 2) == OK,
       "integers");
    ok(h5_write_text(h, "text", "a: 1\nb: 2\n") == OK && h5_write_text(h, "nothing", "") == OK, "texts");
    ok(h5_write_lines(h, "lines", lines_in, 3) == OK && h5_write_lines(h, "no_lines", lines_in, 0) == OK,
       "lines");
}

static void fill(const char *path, const char *dataset, int64_t n)
{
    struct h5 *h;
    int64_t found = 0, at = 0;
    ok(h5_open(&h, path) == OK && h5_find_f32(h, dataset, &found, &at) == OK && found == n, "find %s",
       dataset);
    ok(h5_close(h) == OK, "close");
    float *x = mem_new(n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)i * 0.5f;
    int fd = open(path, O_WRONLY);
    ok(pwrite(fd, x, (size_t)n * 4, at) == n * 4, "write at its offset");
    close(fd);
    free(x);
}

/* With the library alone, as another program would. */
static bool plain_read(const char *path, const char *dataset, int64_t n)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, dataset, H5P_DEFAULT);
    float *x = mem_new(n, sizeof *x);
    bool good = set >= 0 && H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0;
    for (int64_t i = 0; good && i < n; i++)
        good = x[i] == (float)i * 0.5f;
    H5Dclose(set);
    H5Fclose(file);
    free(x);
    return good;
}

static void read_all(const char *path)
{
    struct h5 *h;
    int64_t *x, rows, columns, n;
    char *text, **lines;
    ok(h5_open(&h, path) == OK, "open again");
    bool good = h5_read_i64(h, "table", &x, &rows, &columns) == OK && rows == 3 && columns == 2;
    ok(good && memcmp(x, table, sizeof table) == 0, "integers come back");
    free(x);
    ok(h5_read_i64(h, "empty", &x, &rows, &columns) == OK && rows == 0 && columns == 2,
       "an empty table comes back");
    free(x);
    ok(h5_read_text(h, "text", &text) == OK && strcmp(text, "a: 1\nb: 2\n") == 0, "text comes back");
    free(text);
    ok(h5_read_text(h, "nothing", &text) == OK && strcmp(text, "") == 0, "an empty text comes back");
    free(text);
    good = h5_read_lines(h, "lines", &lines, &n) == OK && n == 3;
    for (int i = 0; i < 3 && good; i++) {
        ok(strcmp(lines[i], lines_in[i]) == 0, "line %d comes back", i);
        free(lines[i]);
    }
    free(lines);
    ok(good && h5_read_lines(h, "no_lines", &lines, &n) == OK && n == 0, "no lines come back");
    free(lines);
    ok(h5_read_i64(h, "bucket_0000/moment1", &x, &rows, &columns) == E_DATA && says("unexpected type"),
       "wrong type");
    ok(h5_read_text(h, "lines", &text) == E_DATA && says("dimensions"), "wrong dimensions");
    ok(h5_read_text(h, "absent", &text) == E_DATA && says("not found"), "absent");
    ok(h5_find_f32(h, "absent/master", &n, &rows) == E_DATA && says("not found"),
       "absent in an absent group");
    ok(h5_find_f32(h, "bucket_0000", &n, &rows) == E_DATA, "a group is no dataset");
    ok(h5_close(h) == OK, "close");
}

static char *slurp(const char *path, int64_t *n)
{
    struct stat about;
    int fd = open(path, O_RDONLY);
    fstat(fd, &about);
    char *x = mem_new(about.st_size, 1);
    *n = read(fd, x, (size_t)about.st_size);
    close(fd);
    return x;
}

static void spit(const char *path, const char *x, int64_t n)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0666);
    if (write(fd, x, (size_t)n) != n)
        perror(path);
    close(fd);
}

static void test_round_trip(void)
{
    struct h5 *h;
    char *path = in_folder("a.h5"), *twin = in_folder("b.h5");
    ok(h5_create(&h, path) == OK, "create");
    write_all(h);
    ok(h5_close(h) == OK, "close and sync");
    ok(h5_create(&h, path) == E_SPACE && says("a.h5"), "an existing file is not overwritten");
    sleep(1); /* so that time stamps would differ */
    ok(h5_create(&h, twin) == OK, "create its twin");
    write_all(h);
    ok(h5_close(h) == OK, "close");
    fill(path, "bucket_0000/master", 5000);
    fill(twin, "bucket_0000/master", 5000);
    ok(plain_read(path, "/bucket_0000/master", 5000), "HDF5 reads what was written by pwrite");
    int64_t n, m;
    char *x = slurp(path, &n), *y = slurp(twin, &m);
    ok(n == m && memcmp(x, y, (size_t)n) == 0, "equal contents give equal bytes");
    read_all(path);
    free(x);
    free(y);
    free(path);
    free(twin);
}

/* Truncated anywhere, and never closed: refused when opened. */
static void test_damage(void)
{
    char *whole = in_folder("a.h5"), *cut = in_folder("cut.h5");
    struct h5 *h;
    int64_t n, opened = 0;
    char *x = slurp(whole, &n);
    for (int64_t length = 0; length < n; length += 211) {
        spit(cut, x, length);
        if (h5_open(&h, cut) == OK)
            opened++, h5_abandon(h);
    }
    ok(opened == 0, "a truncated file is refused");
    spit(cut, "this is a text, not HDF5", 24);
    ok(h5_open(&h, cut) == E_DATA && says("cut.h5"), "a text is refused");
    ok(h5_open(&h, folder) == E_DATA && says("not a regular file"), "a folder is refused");
    ok(h5_open(&h, "no/such.h5") == E_DATA && says("No such file"), "no file");
    free(x);
    char *live = in_folder("live.h5");
    ok(h5_create(&h, live) == OK, "create");
    write_all(h);
    hid_t all[1];
    H5Fget_obj_ids((hid_t)H5F_OBJ_ALL, H5F_OBJ_FILE, 1, all);
    H5Fflush(all[0], H5F_SCOPE_GLOBAL);
    x = slurp(live, &n);
    spit(cut, x, n);
    ok(h5_open(&h, cut) == E_DATA, "a file that nobody closed is refused");
    h5_abandon(h);
    free(x);
    free(live);
    free(whole);
    free(cut);
}

static void put(hid_t file, const char *name, hid_t list, hsize_t n)
{
    hid_t space = H5Screate_simple(1, &n, NULL);
    hid_t set = H5Dcreate2(file, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    H5Dclose(set);
    H5Sclose(space);
}

/* What published attacks on weight files do: lead the reader to another file, or promise a bomb. */
static void write_hostile(const char *path)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hsize_t chunk = 8, n = 16;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Lcreate_external("a.h5", "/bucket_0000/master", file, "external", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("a.h5", "/bucket_0000", file, "group", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/plain", file, "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
    put(file, "plain", list, n);
    put(file, "late", H5P_DEFAULT, (hsize_t)1 << 40);
    H5Pset_external(list, "/etc/passwd", 0, 64);
    put(file, "outside", list, n);
    H5Pclose(list);
    list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, &chunk);
    put(file, "chunked", list, (hsize_t)1 << 40);
    H5Pset_deflate(list, 9);
    put(file, "filtered", list, n);
    H5Pclose(list);
    hid_t space = H5Screate_simple(1, &n, NULL), view;
    list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_virtual(list, space, "a.h5", "/bucket_0000/master", space);
    view = H5Dcreate2(file, "virtual", H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    H5Dclose(view);
    H5Sclose(space);
    H5Pclose(list);
    H5Fclose(file);
}

static void test_hostile(void)
{
    static const struct {
        const char *name, *says;
    } attack[] = {
        {"external", "link"},
        {"group/master", "link"},
        {"soft", "link"},
        {"late", "storage do not agree"},
        {"outside", "external storage"},
        {"chunked", "chunked"},
        {"filtered", "chunked"},
        {"virtual", "chunked"},
    };
    char *path = in_folder("hostile.h5");
    struct h5 *h;
    int64_t n, at;
    write_hostile(path);
    ok(h5_open(&h, path) == OK, "open");
    ok(h5_find_f32(h, "plain", &n, &at) == OK && n == 16, "a plain dataset of another writer is fine");
    for (size_t i = 0; i < sizeof attack / sizeof *attack; i++)
        ok(h5_find_f32(h, attack[i].name, &n, &at) == E_DATA && says(attack[i].says), "refused: %s",
           attack[i].name);
    ok(h5_close(h) == OK, "close");
    free(path);
}

/* Files limited to 64 kB stand for a full disk: an error, and no crash, then or at exit. */
static void test_full(void)
{
    struct rlimit old, small = {65536, RLIM_INFINITY};
    char *path = in_folder("full.h5");
    struct h5 *h;
    int64_t *x = mem_new(100000, sizeof *x);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    ok(h5_create(&h, path) == OK, "create");
    status s = h5_write_i64(h, "large", x, 50000, 2);
    ok(s == E_SPACE && says("full.h5") && says("File too large"), "a full disk is said");
    h5_abandon(h);
    setrlimit(RLIMIT_FSIZE, &old);
    ok(unlink(path) == 0 && h5_create(&h, path) == OK && h5_close(h) == OK, "and it goes on after that");
    free(x);
    free(path);
}

int main(void)
{
    if (!mkdtemp(folder))
        return 99;
    test_round_trip();
    test_damage();
    test_hostile();
    test_full();
    static const char *const files[] = {"a.h5", "b.h5", "cut.h5", "live.h5", "hostile.h5", "full.h5"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = in_folder(files[i]);
        unlink(path);
        free(path);
    }
    ok(rmdir(folder) == 0, "nothing else was written");
    return tap_done();
}
