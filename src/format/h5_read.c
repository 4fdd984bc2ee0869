/* Reading HDF5. Everything that a file claims is checked before it is used. */
#include "format/h5_inside.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

struct dataset { /* a checked dataset of an opened file */
    hid_t id, type;
    int64_t dim[2], elements, offset; /* offset is -1 if nothing is stored, or the data lie in the header */
};

static status refuse(const struct h5 *h, const char *name, const char *why)
{
    return fail(E_DATA, "%s: %s: %s", h->path, name, why);
}

/* ---- checks ---- */

/* Refuse soft and external links in any component of a name, which could lead to another file. */
static status check_links(struct h5 *h, const char *name)
{
    char part[256];
    size_t length = strlen(name);
    if (length >= sizeof part)
        return refuse(h, name, "the name is too long");
    for (size_t i = 1; i <= length; i++) {
        if (name[i] != '/' && name[i] != '\0')
            continue;
        H5L_info_t link;
        snprintf(part, sizeof part, "%.*s", (int)i, name);
        if (H5Lexists(h->file, part, H5P_DEFAULT) <= 0 || H5Lget_info(h->file, part, &link, H5P_DEFAULT) < 0)
            return H5Eclear2(H5E_DEFAULT), refuse(h, name, "not found in this file");
        if (link.type != H5L_TYPE_HARD)
            return refuse(h, name, "is reached by a link that is not hard; refused");
    }
    return OK;
}

static status check_storage(struct h5 *h, const char *name, struct dataset *d)
{
    hid_t list = H5Dget_create_plist(d->id);
    H5D_layout_t layout = H5Pget_layout(list);
    int external = H5Pget_external_count(list), filters = H5Pget_nfilters(list);
    H5Pclose(list);
    if (layout != H5D_CONTIGUOUS && layout != H5D_COMPACT)
        return refuse(h, name, "chunked or virtual storage; only contiguous is read");
    if (external != 0 || filters != 0)
        return refuse(h, name, "external storage or filters; refused");
    int64_t bytes;
    size_t element = H5Tget_size(d->type);
    if (element == 0 || element > INT32_MAX || !mem_mul_fits(d->elements, (int64_t)element, &bytes) ||
        bytes > h->size || H5Dget_storage_size(d->id) != (hsize_t)bytes)
        return refuse(h, name, "its size and its storage do not agree");
    haddr_t at = layout == H5D_CONTIGUOUS && bytes > 0 ? H5Dget_offset(d->id) : HADDR_UNDEF;
    d->offset = at == HADDR_UNDEF ? -1 : (int64_t)at;
    if (layout == H5D_CONTIGUOUS && bytes > 0 && (at == HADDR_UNDEF || d->offset > h->size - bytes))
        return refuse(h, name, "its data lie outside the file");
    H5Eclear2(H5E_DEFAULT);
    return OK;
}

static status check_shape(struct h5 *h, const char *name, int rank, struct dataset *d)
{
    hsize_t size[H5S_MAX_RANK] = {0};
    hid_t space = H5Dget_space(d->id);
    H5S_class_t class = H5Sget_simple_extent_type(space);
    int found = H5Sget_simple_extent_dims(space, size, NULL);
    H5Sclose(space);
    if (found != rank || class != (rank ? H5S_SIMPLE : H5S_SCALAR))
        return refuse(h, name, "has an unexpected number of dimensions");
    d->elements = 1;
    for (int i = 0; i < rank; i++) {
        d->dim[i] = size[i] > INT64_MAX ? -1 : (int64_t)size[i];
        if (!mem_mul_fits(d->elements, d->dim[i], &d->elements))
            return refuse(h, name, "is too large");
    }
    return OK;
}

static status check_type(struct h5 *h, const char *name, hid_t type, const struct dataset *d)
{
    bool good = type >= 0 ? H5Tequal(d->type, type) > 0
                          : H5Tget_class(d->type) == H5T_STRING && H5Tis_variable_str(d->type) == 0;
    return good ? OK : refuse(h, name, "has an unexpected type");
}

/* ---- datasets ---- */

static void dataset_close(struct dataset *d)
{
    if (d->type >= 0)
        H5Tclose(d->type);
    if (d->id >= 0)
        H5Dclose(d->id);
}

/* The type H5I_INVALID_HID asks for fixed strings. On failure there is nothing to close. */
static status dataset_open(struct h5 *h, const char *name, hid_t type, int rank, struct dataset *d)
{
    TRY(check_links(h, name));
    d->id = H5Dopen2(h->file, name, H5P_DEFAULT);
    if (d->id < 0)
        return h5_fail(h, name, "cannot open dataset");
    d->type = H5Dget_type(d->id);
    status s = d->type >= 0 ? check_type(h, name, type, d) : h5_fail(h, name, "cannot read the type of");
    if (s == OK)
        s = check_shape(h, name, rank, d);
    if (s == OK)
        s = check_storage(h, name, d);
    if (s != OK)
        dataset_close(d);
    return s;
}

/* Read a whole dataset into new memory with `spare` zero bytes behind it, and close it. */
static status dataset_read(struct h5 *h, const char *name, struct dataset *d, int64_t spare, void **x)
{
    int64_t bytes = mem_mul(d->elements, (int64_t)H5Tget_size(d->type));
    void *data = mem_new(mem_add(bytes, spare), 1);
    bool good = bytes == 0 || H5Dread(d->id, d->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0;
    status s = good ? OK : h5_fail(h, name, "cannot read");
    dataset_close(d);
    if (s == OK)
        *x = data;
    else
        free(data);
    return s;
}

status h5_read_i64(struct h5 *h, const char *name, int64_t **x, int64_t *rows, int64_t *columns)
{
    struct dataset d;
    void *data;
    TRY(dataset_open(h, name, H5T_STD_I64LE, 2, &d));
    TRY(dataset_read(h, name, &d, 0, &data));
    *x = data;
    *rows = d.dim[0];
    *columns = d.dim[1];
    return OK;
}

status h5_read_text(struct h5 *h, const char *name, char **text)
{
    struct dataset d;
    void *data;
    TRY(dataset_open(h, name, H5I_INVALID_HID, 0, &d));
    TRY(dataset_read(h, name, &d, 1, &data));
    *text = data;
    return OK;
}

status h5_read_lines(struct h5 *h, const char *name, char ***lines, int64_t *n)
{
    struct dataset d;
    void *all;
    TRY(dataset_open(h, name, H5I_INVALID_HID, 1, &d));
    int width = (int)H5Tget_size(d.type);
    TRY(dataset_read(h, name, &d, 0, &all));
    *n = d.elements;
    *lines = mem_new(*n, sizeof **lines);
    for (int64_t i = 0; i < *n; i++)
        (*lines)[i] = mem_format("%.*s", width, (const char *)all + i * width);
    free(all);
    return OK;
}

status h5_find_f32(struct h5 *h, const char *name, int64_t *n, int64_t *offset)
{
    struct dataset d;
    TRY(dataset_open(h, name, H5T_IEEE_F32LE, 1, &d));
    dataset_close(&d);
    if (d.elements > 0 && d.offset < 0)
        return refuse(h, name, "is not stored contiguously");
    *n = d.elements;
    *offset = d.elements > 0 ? d.offset : 0;
    return OK;
}
