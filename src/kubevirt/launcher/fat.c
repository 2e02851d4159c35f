/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/fat.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SECTOR 2048u /* = cluster */
#define ROOT_ENTRIES 256u
#define ENTRY 32u
#define CLUSTERS_MAX 4084u
#define LFN_CHARS 13u
#define DATE_1980 0x21 /* 1 January 1980: FAT's first day */

enum { ATTR_LABEL = 8, ATTR_DIR = 16, ATTR_FILE = 32, ATTR_LFN = 15 };

struct node {
	char *name; /* NULL: the root */
	size_t parent;
	const struct fat_file *file; /* NULL: a directory */
	struct str dir;              /* its entries */
	unsigned first, clusters;
};

struct fat {
	struct node *nodes;
	size_t n, cap;
	unsigned next_cluster;
};

static void put16(unsigned char *p, unsigned v)
{
	p[0] = (unsigned char)v;
	p[1] = (unsigned char)(v >> 8);
}

static void put32(unsigned char *p, uint32_t v)
{
	put16(p, v & 0xffff);
	put16(p + 2, v >> 16);
}

/* ---- the tree ---- */

static size_t node_add(
	struct fat *f, const char *name, size_t len, size_t parent, const struct fat_file *file)
{
	f->nodes = mem_grow(f->nodes, &f->cap, f->n + 1, sizeof(*f->nodes));
	f->nodes[f->n] =
		(struct node){ .name = name ? mem_strndup(name, len) : NULL, .parent = parent, .file = file };
	return f->n++;
}

static size_t node_dir(struct fat *f, const char *name, size_t len, size_t parent)
{
	for (size_t i = 1; i < f->n; i++)
		if (f->nodes[i].parent == parent && !f->nodes[i].file && strlen(f->nodes[i].name) == len &&
			!strncmp(f->nodes[i].name, name, len))
			return i;
	return node_add(f, name, len, parent, NULL);
}

static void tree_add(struct fat *f, const struct fat_file *file)
{
	size_t parent = 0;
	const char *name = file->path;

	for (const char *slash; (slash = strchr(name, '/')); name = slash + 1)
		parent = node_dir(f, name, (size_t)(slash - name), parent);
	node_add(f, name, strlen(name), parent, file);
}

/* ---- directory entries ---- */

static void short_name(size_t i, char ret[11])
{
	char tmp[16];

	snprintf(tmp, sizeof(tmp), "F%07zu   ", i % 10000000);
	memcpy(ret, tmp, 11);
}

static size_t lfn_entries(const char *name)
{
	return (strlen(name) + LFN_CHARS - 1) / LFN_CHARS;
}

static void lfn_add(struct str *dir, const char *name, const char shorty[11])
{
	static const unsigned char at[LFN_CHARS] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };
	size_t n = lfn_entries(name), len = strlen(name);
	unsigned sum = 0;

	for (int i = 0; i < 11; i++)
		sum = ((sum & 1) << 7) + (sum >> 1) + (unsigned char)shorty[i], sum &= 0xff;
	for (size_t k = n; k > 0; k--) {
		unsigned char ent[ENTRY] = { 0 };

		ent[0] = (unsigned char)(k | (k == n ? 0x40 : 0));
		ent[11] = ATTR_LFN;
		ent[13] = (unsigned char)sum;
		for (size_t c = 0; c < LFN_CHARS; c++) {
			size_t i = (k - 1) * LFN_CHARS + c;

			put16(ent + at[c], i < len ? (unsigned char)name[i] : i == len ? 0 : 0xffff);
		}
		str_addn(dir, (char *)ent, ENTRY);
	}
}

static void entry_add(struct str *dir, const char name[11], int attr, unsigned cluster, size_t size)
{
	unsigned char ent[ENTRY] = { 0 };

	memcpy(ent, name, 11);
	ent[11] = (unsigned char)attr;
	put16(ent + 16, DATE_1980);
	put16(ent + 18, DATE_1980);
	put16(ent + 24, DATE_1980);
	put16(ent + 26, cluster);
	put32(ent + 28, (uint32_t)size);
	str_addn(dir, (char *)ent, ENTRY);
}

/* Bytes a directory needs: its "." and "..", and its children. */
static size_t dir_size(const struct fat *f, size_t dir)
{
	size_t n = dir ? 2 : 1;

	for (size_t i = 1; i < f->n; i++)
		if (f->nodes[i].parent == dir)
			n += 1 + lfn_entries(f->nodes[i].name);
	return n * ENTRY;
}

static void dir_fill(struct fat *f, size_t dir, const char *label)
{
	struct node *d = &f->nodes[dir];
	char shorty[11];

	if (dir == 0) {
		memset(shorty, ' ', sizeof(shorty));
		for (size_t i = 0; label[i] && i < sizeof(shorty); i++)
			shorty[i] = (char)toupper((unsigned char)label[i]);
		entry_add(&d->dir, shorty, ATTR_LABEL, 0, 0);
	} else {
		entry_add(&d->dir, ".          ", ATTR_DIR, d->first, 0);
		entry_add(&d->dir, "..         ", ATTR_DIR, f->nodes[d->parent].first, 0);
	}
	for (size_t i = 1; i < f->n; i++) {
		const struct node *c = &f->nodes[i];

		if (c->parent != dir)
			continue;
		short_name(i, shorty);
		lfn_add(&d->dir, c->name, shorty);
		entry_add(&d->dir, shorty, c->file ? ATTR_FILE : ATTR_DIR, c->first,
			c->file ? c->file->len : 0);
	}
}

/* ---- the image ---- */

static void fat_set(unsigned char *fat, unsigned cluster, unsigned value)
{
	unsigned char *p = fat + cluster * 3 / 2;

	if (cluster & 1) {
		p[0] = (unsigned char)((p[0] & 0x0f) | (value << 4));
		p[1] = (unsigned char)(value >> 4);
	} else {
		p[0] = (unsigned char)value;
		p[1] = (unsigned char)((p[1] & 0xf0) | (value >> 8 & 0x0f));
	}
}

static void boot_sector(unsigned char *b, unsigned sectors, unsigned fat_sectors, const char *label)
{
	memcpy(b,
		"\xeb\x3c\x90"
		"CORACLE ",
		11);
	put16(b + 11, SECTOR);
	b[13] = 1;        /* sectors per cluster */
	put16(b + 14, 1); /* reserved */
	b[16] = 2;        /* FATs */
	put16(b + 17, ROOT_ENTRIES);
	put16(b + 19, sectors);
	b[21] = 0xf8;
	put16(b + 22, fat_sectors);
	put16(b + 24, 32);
	put16(b + 26, 64);
	b[36] = 0x80;
	b[38] = 0x29; /* serial, label and type follow */
	put32(b + 39, 0x00c0ac1e);
	memset(b + 43, ' ', 11);
	for (size_t i = 0; label[i] && i < 11; i++)
		b[43 + i] = (unsigned char)toupper((unsigned char)label[i]);
	memcpy(b + 54, "FAT12   ", 8);
	b[510] = 0x55;
	b[511] = 0xaa;
}

static void layout(struct fat *f)
{
	f->next_cluster = 2;
	for (size_t i = 1; i < f->n; i++) {
		size_t size = f->nodes[i].file ? f->nodes[i].file->len : dir_size(f, i);

		f->nodes[i].clusters = (unsigned)((size + SECTOR - 1) / SECTOR);
		f->nodes[i].first = f->nodes[i].clusters ? f->next_cluster : 0;
		f->next_cluster += f->nodes[i].clusters;
	}
}

static void render(struct fat *f, const char *label, unsigned clusters, struct str *out)
{
	unsigned fat_sectors = ((clusters + 2) * 3 / 2 + SECTOR) / SECTOR,
		 root = ROOT_ENTRIES * ENTRY / SECTOR;
	unsigned data = 1 + 2 * fat_sectors + root;
	size_t total = (size_t)(data + clusters) * SECTOR;
	unsigned char *img = mem_zalloc(total), *fat = img + SECTOR;

	boot_sector(img, data + clusters, fat_sectors, label);
	fat_set(fat, 0, 0xff8);
	fat_set(fat, 1, 0xfff);
	for (size_t i = 0; i < f->n; i++) {
		struct node *n = &f->nodes[i];
		unsigned char *at = i ? img + (size_t)(data + n->first - 2) * SECTOR
				      : img + (size_t)(data - root) * SECTOR;

		if (!n->file)
			dir_fill(f, i, label);
		if (n->file ? n->file->len : n->dir.len)
			memcpy(at, n->file ? n->file->data : n->dir.data,
				n->file ? n->file->len : n->dir.len);
		for (unsigned c = 0; c < n->clusters; c++)
			fat_set(fat, n->first + c, c + 1 < n->clusters ? n->first + c + 1 : 0xfff);
	}
	memcpy(fat + (size_t)fat_sectors * SECTOR, fat, (size_t)fat_sectors * SECTOR);
	str_addn(out, (char *)img, total);
	free(img);
}

int fat_image(const char *label, const struct fat_file *files, size_t n, struct str *out, struct err *e)
{
	struct fat f = { 0 };
	unsigned clusters;
	size_t bytes = 0;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		bytes += files[i].len > FAT_IMAGE_MAX ? FAT_IMAGE_MAX : files[i].len;
	if (bytes > FAT_IMAGE_MAX)
		return err_set(
			e, ERR_TOO_LARGE, "%zu bytes do not fit a seed image of %u", bytes, FAT_IMAGE_MAX);
	node_add(&f, NULL, 0, 0, NULL);
	for (size_t i = 0; i < n; i++)
		tree_add(&f, &files[i]);
	layout(&f);
	clusters = f.next_cluster - 2 > FAT_IMAGE_MIN / SECTOR ? f.next_cluster - 2 : FAT_IMAGE_MIN / SECTOR;
	if (clusters > CLUSTERS_MAX || dir_size(&f, 0) > (size_t)ROOT_ENTRIES * ENTRY)
		r = err_set(e, ERR_TOO_LARGE, "%zu files of %zu bytes do not fit a seed image of %u", n,
			bytes, FAT_IMAGE_MAX);
	else
		render(&f, label, clusters, out);
	for (size_t i = 0; i < f.n; i++) {
		free(f.nodes[i].name);
		str_done(&f.nodes[i].dir);
	}
	free(f.nodes);
	return r;
}
