/* SPDX-License-Identifier: Apache-2.0 */
/* Huge pages of this host: how many the node offers, and the file system through which a pod uses those it asked for. */
#include "platform/agent/impl.h"

#include "api/quantity.h"

#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>

#define POOLS "/sys/kernel/mm/hugepages"
#define POOL_PREFIX "hugepages-" /* + "2048kB"; as resources: + "2Mi" */
#define COUNT_MAX 8192           /* sysfs says that a file of it has a page */

/* "hugepages-2048kB" -> bytes; -1: something else. */
static int64_t page_of_pool(const char *name)
{
	CLEANUP(mem_freep) char *kb = NULL;
	size_t n = strlen(name);
	int64_t size;

	if (!str_starts(name, POOL_PREFIX) || n < sizeof(POOL_PREFIX) + 1 || !str_eq(name + n - 2, "kB"))
		return -1;
	kb = mem_strndup(name + sizeof(POOL_PREFIX) - 1, n - sizeof(POOL_PREFIX) - 1);
	return str_to_i64(kb, 1, INT64_MAX / 1024, &size) ? size * 1024 : -1;
}

static int64_t pages_in(const char *pool)
{
	CLEANUP(mem_freep) char *path = str_printf(POOLS "/%s/nr_hugepages", pool);
	CLEANUP(mem_freep) char *text = NULL;
	int64_t n = 0;

	if (file_read(path, COUNT_MAX, &text, NULL, NULL) < 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return str_to_i64(text, 0, INT64_MAX / (1 << 30), &n) ? n : 0;
}

void hugepages_put(struct json_doc *d, struct json *amounts)
{
	CLEANUP(strv_done) struct strv pools = { 0 };

	file_list(POOLS, &pools, NULL);
	for (size_t i = 0; i < pools.len; i++) {
		int64_t page = page_of_pool(pools.items[i]);
		char size[QUANTITY_TEXT_MAX], all[QUANTITY_TEXT_MAX];
		CLEANUP(mem_freep) char *name = NULL;

		if (page < 0)
			continue;
		name = str_printf(POOL_PREFIX "%s", quantity_bytes_text(page, size));
		json_set_str(d, amounts, name, quantity_bytes_text(page * pages_in(pools.items[i]), all));
	}
}

/* What the pod's containers may use of them: limits equal requests. */
static int64_t limit_of(const struct pod *p, const char *resource)
{
	int64_t sum = 0;

	JSON_EACH (it, json_get(pod_spec(p), "containers")) {
		int64_t n = quantity_bytes(json_get(json_at(it.val, "/resources/limits"), resource));

		sum += n > 0 ? n : 0;
	}
	return sum;
}

/* Medium HugePages, of which the pod has one size only. */
static const char *only_resource(const struct pod *p)
{
	JSON_EACH (it, json_get(pod_spec(p), "containers"))
		JSON_EACH (r, json_at(it.val, "/resources/limits"))
			if (str_starts(r.key, POOL_PREFIX))
				return r.key;
	return NULL;
}

int hugepages_mount(const struct pod *p, const char *medium, const char *path, struct err *e)
{
	static const char prefix[] = "HugePages-";
	CLEANUP(mem_freep) char *name = NULL, *options = NULL;
	const char *only = only_resource(p);
	struct quantity q;
	struct statfs st;
	int64_t page;

	if (str_starts(medium, prefix))
		name = str_printf(POOL_PREFIX "%s", medium + sizeof(prefix) - 1);
	else if (only)
		name = mem_strdup(only);
	else
		return err_set(e, ERR_INVALID, "medium %s: no container has a limit of huge pages", medium);
	if (quantity_parse(name + sizeof(POOL_PREFIX) - 1, &q, e) < 0)
		return err_wrap(e, "medium %s", medium);
	page = quantity_ceil(&q);
	if (statfs(path, &st) == 0 && st.f_type == HUGETLBFS_MAGIC)
		return 0;
	options = str_printf("mode=0777,pagesize=%" PRId64 ",size=%" PRId64, page, limit_of(p, name));
	if (mount("hugetlbfs", path, "hugetlbfs", MS_NOSUID | MS_NODEV, options) < 0)
		return err_sys(e, "mounting huge pages (%s) at %s", options, path);
	return 0;
}
