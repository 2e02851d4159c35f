/* SPDX-License-Identifier: Apache-2.0 */
/* gen-docs: the parts of docs/ that follow from tables of the program.
 *
 *   gen-docs-virt DIR            says which pages below DIR (the source tree) are not up to date; status 1 if any
 *   gen-docs-virt DIR --write    brings them up to date. tools/gen-docs does so with all of them
 *
 * In a page the line "<!-- generated NAME -->" begins a block and "<!-- end -->" ends it; all between is replaced. */
#include "gen-docs.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define PAGE_MAX (4 << 20)
#define BEGIN "<!-- generated "
#define END "<!-- end -->\n"

static const char *const pages[] = { "docs/architecture.md", "docs/rollout.md", "docs/kubernetes-api.md",
	"docs/reference.md", "CONTRIBUTING.md" };

static const struct block *block_at(const char *name)
{
	for (const struct block *b = blocks; b->name; b++) {
		size_t n = strlen(b->name);

		if (strncmp(name, b->name, n) == 0 && strncmp(name + n, " -->\n", 5) == 0)
			return b;
	}
	return NULL;
}

static int renew(const char *page, const char *top, const char *old, struct str *out)
{
	for (const char *begin; (begin = strstr(old, BEGIN));) {
		const struct block *b = block_at(begin + strlen(BEGIN));
		const char *body = strchr(begin, '\n'), *end = strstr(begin, END);

		if (!body || !end) {
			fprintf(stderr, "%s: a block without end: %.40s\n", page, begin);
			return -1;
		}
		if (b) {
			str_addn(out, old, (size_t)(body + 1 - old));
			str_addc(out, '\n');
			b->make(out, top);
			str_addc(out, '\n');
			str_add(out, END);
		} else {
			str_addn(out, old, (size_t)(end + strlen(END) - old));
		}
		old = end + strlen(END);
	}
	str_add(out, old);
	return 0;
}

static int one_page(const char *top, const char *page, bool write)
{
	CLEANUP(mem_freep) char *path = file_join(top, page), *old = NULL;
	CLEANUP(str_done) struct str now = { 0 };
	struct err e;
	size_t len;

	if (file_read(path, PAGE_MAX, &old, &len, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		return -1;
	}
	if (renew(page, top, old, &now) < 0)
		return -1;
	if (str_eq(old, str_cstr(&now)))
		return 0;
	if (!write) {
		fprintf(stderr, "%s:1: not up to date, run tools/gen-docs\n", page);
		return -1;
	}
	if (file_write(path, now.data, now.len, 0644, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		return -1;
	}
	printf("%s\n", page);
	return 0;
}

int main(int argc, char **argv)
{
	bool write = argc == 3 && str_eq(argv[2], "--write");
	int status = 0;

	if (argc < 2 || argc > 3 || (argc == 3 && !write)) {
		fprintf(stderr, "usage: gen-docs DIR [--write]\n");
		return 2;
	}
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		if (one_page(argv[1], pages[i], write) < 0)
			status = 1;
	return status;
}
