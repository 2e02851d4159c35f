/* SPDX-License-Identifier: Apache-2.0 */
#include "object.h"

#include "base/mem.h"

#include <string.h>

static const char shape[] =
	"{'apiVersion':'kubevirt.io/v1','kind':'VirtualMachine','metadata':{'name':'','namespace':'" OBJECT_NS
	"',"
	"'labels':{'app':'bench','tier':'db'},'annotations':{'bench/"
	"filler':''}},'spec':{'runStrategy':'Halted',"
	"'template':{'metadata':{'labels':{'round':'0','kubevirt.io/"
	"domain':'bench'}},'spec':{'domain':{'cpu':{'sockets':1,"
	"'cores':2,'threads':1},'memory':{'guest':'1Gi'},'devices':{'disks':[{'name':'root','disk':{'bus':'"
	"virtio'}},"
	"{'name':'data','disk':{'bus':'virtio'}},{'name':'init','disk':{'bus':'virtio'}}],'interfaces':[{'"
	"name':'default',"
	"'masquerade':{},'ports':[{'name':'ssh','port':22},{'name':'db','port':5432}]}]},'resources':{'"
	"requests':{'memory':"
	"'1Gi'}}},'networks':[{'name':'default','pod':{}}],'terminationGracePeriodSeconds':30,'volumes':[{'"
	"name':'root',"
	"'containerDisk':{'image':'registry:5000/some/"
	"disk:1'}},{'name':'data','emptyDisk':{'capacity':'10Gi'}},{'name':'init',"
	"'cloudInitNoCloud':{'userData':'#cloud-config'}}]}}}}";

char *object_text(const char *name)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(shape);
	char filler[OBJECT_BYTES], *text;
	size_t len;

	json_put_str(d, json_root(d), "/metadata/name", name);
	text = json_write(json_root(d), &len);
	if (len >= OBJECT_BYTES)
		return text;
	free(text);
	memset(filler, 'x', sizeof(filler));
	filler[OBJECT_BYTES - len] = 0;
	json_put_str(d, json_root(d), "/metadata/annotations/bench~1filler", filler);
	return json_write(json_root(d), NULL);
}

#define NAME_MARK "name-of-the-object"

void object_form_init(struct object_form *f)
{
	char *text = object_text(NAME_MARK), *at = strstr(text, NAME_MARK);

	f->head = text;
	f->head_len = (size_t)(at - text);
	f->tail = mem_strdup(at + strlen(NAME_MARK));
	f->tail_len = strlen(f->tail);
}

void object_form_done(struct object_form *f)
{
	free(f->head);
	free(f->tail);
}

char *object_form_text(const struct object_form *f, const char *name, size_t *ret_len)
{
	size_t n = strlen(name);
	char *text = mem_alloc(f->head_len + n + f->tail_len + 1);

	memcpy(text, f->head, f->head_len);
	memcpy(text + f->head_len, name, n);
	memcpy(text + f->head_len + n, f->tail, f->tail_len + 1);
	*ret_len = f->head_len + n + f->tail_len;
	return text;
}
