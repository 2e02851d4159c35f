/* SPDX-License-Identifier: Apache-2.0 */
/* Types, what an expression may name, and how fields of schemas are called in expressions. */
#include "api/cel_int.h"

#include <ctype.h>
#include <string.h>

struct cel_env *cel_env_new(void)
{
	struct cel_env *env = MEM_NEW(struct cel_env);

	env->arena = arena_new();
	return env;
}

void cel_env_free(struct cel_env *env)
{
	if (!env)
		return;
	for (size_t i = 0; i < env->n_objects; i++)
		free(env->objects[i]->fields);
	free(env->objects);
	free(env->vars);
	arena_free(env->arena);
	free(env);
}

void cel_env_freep(struct cel_env **env)
{
	cel_env_free(*env);
	*env = NULL;
}

size_t cel_env_add(struct cel_env *env, const char *name, const struct cel_type *type)
{
	env->vars = mem_grow(env->vars, &env->cap, env->n + 1, sizeof(*env->vars));
	env->vars[env->n] = (struct cel_var){ arena_strdup(env->arena, name), type };
	return env->n++;
}

const struct cel_type *cel_type_make(
	struct arena *a, enum cel_tkind kind, const struct cel_type *x, const struct cel_type *y)
{
	struct cel_type *t = arena_alloc(a, sizeof(*t));

	t->kind = kind;
	t->a = x;
	t->b = y;
	return t;
}

/* The simple ones, by letter, and the names values have at run time. */
static const struct {
	char letter;
	struct cel_type type;
} simple[] = {
	{ 'D', { .kind = T_DYN, .name = "dyn" } },
	{ 'N', { .kind = T_NULL, .name = "null_type" } },
	{ 'b', { .kind = T_BOOL, .name = "bool" } },
	{ 'i', { .kind = T_INT, .name = "int" } },
	{ 'u', { .kind = T_UINT, .name = "uint" } },
	{ 'd', { .kind = T_DOUBLE, .name = "double" } },
	{ 's', { .kind = T_STRING, .name = "string" } },
	{ 'y', { .kind = T_BYTES, .name = "bytes" } },
	{ 'r', { .kind = T_DURATION, .name = "google.protobuf.Duration" } },
	{ 't', { .kind = T_TIMESTAMP, .name = "google.protobuf.Timestamp" } },
	{ 'T', { .kind = T_TYPE, .name = "type" } },
	{ 'Q', { .kind = T_OPAQUE, .name = "kubernetes.Quantity" } },
	{ 'U', { .kind = T_OPAQUE, .name = "kubernetes.URL" } },
	{ 'I', { .kind = T_OPAQUE, .name = "net.IP" } },
	{ 'C', { .kind = T_OPAQUE, .name = "net.CIDR" } },
	{ 'V', { .kind = T_OPAQUE, .name = "kubernetes.Semver" } },
	{ 'F', { .kind = T_OPAQUE, .name = "kubernetes.NamedFormat" } },
	{ 'Z', { .kind = T_OPAQUE, .name = "kubernetes.authorization.Authorizer" } },
	{ 'H', { .kind = T_OPAQUE, .name = "kubernetes.authorization.PathCheck" } },
	{ 'G', { .kind = T_OPAQUE, .name = "kubernetes.authorization.GroupCheck" } },
	{ 'R', { .kind = T_OPAQUE, .name = "kubernetes.authorization.ResourceCheck" } },
	{ 'K', { .kind = T_OPAQUE, .name = "kubernetes.authorization.Decision" } },
};

const struct cel_type *cel_type_read(struct arena *a, const char **p, const struct cel_type *const vars[2])
{
	char c = *(*p)++;
	const struct cel_type *x, *y;

	if (c == 'A' || c == 'B')
		return vars ? vars[c - 'A'] : NULL;
	for (size_t i = 0; i < ARRAY_LEN(simple); i++)
		if (simple[i].letter == c)
			return &simple[i].type;
	if (c == 'L' || c == 'O') {
		x = cel_type_read(a, p, vars);
		return x ? cel_type_make(a, c == 'L' ? T_LIST : T_OPTIONAL, x, NULL) : NULL;
	}
	if (c != 'P') {
		(*p)--;
		return NULL;
	}
	x = cel_type_read(a, p, vars);
	y = x ? cel_type_read(a, p, vars) : NULL;
	return y ? cel_type_make(a, T_MAP, x, y) : NULL;
}

const struct cel_type *cel_type_named(struct cel_env *env, const char *text)
{
	const struct cel_type *t = cel_type_read(env->arena, &text, NULL);

	return *text ? NULL : t;
}

const struct cel_type *cel_type_optional(struct cel_env *env, const struct cel_type *of)
{
	return cel_type_make(env->arena, T_OPTIONAL, of, NULL);
}

const struct cel_type *cel_type_object(struct cel_env *env, const char *name)
{
	struct cel_type *t = arena_alloc(env->arena, sizeof(*t));

	t->kind = T_STRUCT;
	t->name = arena_strdup(env->arena, name);
	env->objects =
		mem_grow(env->objects, &env->cap_objects, env->n_objects + 1, sizeof(struct cel_type *));
	env->objects[env->n_objects++] = t;
	return t;
}

void cel_type_add(
	struct cel_env *env, const struct cel_type *object, const char *field, const struct cel_type *type)
{
	for (size_t i = 0; i < env->n_objects; i++) {
		struct cel_type *t = env->objects[i];

		if (t != object)
			continue;
		t->fields = mem_grow(t->fields, &t->cap, t->n + 1, sizeof(*t->fields));
		t->fields[t->n++] = (struct cel_tfield){ arena_strdup(env->arena, field), type };
	}
}

void cel_type_text(const struct cel_type *t, struct str *out)
{
	switch (t->kind) {
	case T_LIST:
	case T_OPTIONAL:
		str_add(out, t->kind == T_LIST ? "list(" : "optional_type(");
		cel_type_text(t->a, out);
		str_addc(out, ')');
		break;
	case T_MAP:
		str_add(out, "map(");
		cel_type_text(t->a, out);
		str_add(out, ", ");
		cel_type_text(t->b, out);
		str_addc(out, ')');
		break;
	case T_NULL:
		str_add(out, "null");
		break;
	case T_TYPE:
		str_add(out, "type");
		if (t->a) {
			str_addc(out, '(');
			cel_type_text(t->a, out);
			str_addc(out, ')');
		}
		break;
	case T_DURATION:
	case T_TIMESTAMP:
		str_add(out, t->kind == T_DURATION ? "duration" : "timestamp");
		break;
	case T_SCHEMA:
		str_add(out, "object");
		break;
	case T_VAR:
		str_add(out, "dyn");
		break;
	default:
		str_add(out, t->name ? t->name : "?");
		break;
	}
}

/* ---- names of members ---- */

static const struct {
	const char *plain, *escaped;
} escapes[] = {
	{ "__", "__underscores__" },
	{ ".", "__dot__" },
	{ "-", "__dash__" },
	{ "/", "__slash__" },
};
static const char *const keywords[] = { "true", "false", "null", "in", "as", "break", "const", "continue",
	"else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return", "var",
	"void", "while", NULL };

static bool keyword(const char *s, size_t n)
{
	for (size_t i = 0; keywords[i]; i++)
		if (strlen(keywords[i]) == n && memcmp(keywords[i], s, n) == 0)
			return true;
	return false;
}

bool cel_escape(const char *name, size_t len, struct str *out)
{
	if (!len || isdigit((unsigned char)name[0]))
		return false;
	if (keyword(name, len)) {
		str_addf(out, "__%.*s__", (int)len, name);
		return true;
	}
	for (size_t i = 0; i < len;) {
		size_t k = 0;

		while (k < ARRAY_LEN(escapes) &&
			(len - i < strlen(escapes[k].plain) ||
				memcmp(name + i, escapes[k].plain, strlen(escapes[k].plain)) != 0))
			k++;
		if (k < ARRAY_LEN(escapes)) {
			str_add(out, escapes[k].escaped);
			i += strlen(escapes[k].plain);
			continue;
		}
		if ((unsigned char)name[i] >= 128 || (!isalnum((unsigned char)name[i]) && name[i] != '_'))
			return false;
		str_addc(out, name[i++]);
	}
	return true;
}

bool cel_unescape(const char *name, size_t len, struct str *out)
{
	if (len > 4 && memcmp(name, "__", 2) == 0 && memcmp(name + len - 2, "__", 2) == 0 &&
		keyword(name + 2, len - 4)) {
		str_addn(out, name + 2, len - 4);
		return true;
	}
	if (keyword(name, len))
		return false;
	for (size_t i = 0; i < len;) {
		size_t k = 0;

		if (len - i < 2 || memcmp(name + i, "__", 2) != 0) {
			str_addc(out, name[i++]);
			continue;
		}
		while (k < ARRAY_LEN(escapes) &&
			(len - i < strlen(escapes[k].escaped) ||
				memcmp(name + i, escapes[k].escaped, strlen(escapes[k].escaped)) != 0))
			k++;
		if (k == ARRAY_LEN(escapes))
			return false;
		str_add(out, escapes[k].plain);
		i += strlen(escapes[k].escaped);
	}
	return true;
}

/* ---- schemas ---- */

static const struct cel_type *schema_type(struct arena *a, const struct schema *s, bool root);

static const struct cel_type *letter(struct arena *a, const char *c)
{
	return cel_type_read(a, &c, NULL);
}

static const struct cel_type *string_type(struct arena *a, const struct schema *s)
{
	if (str_eq(s->format, "byte"))
		return letter(a, "y");
	if (str_eq(s->format, "duration"))
		return letter(a, "r");
	if (str_eq(s->format, "date") || str_eq(s->format, "date-time"))
		return letter(a, "t");
	return letter(a, "s");
}

static const struct cel_type *object_type(struct arena *a, const struct schema *s, bool root)
{
	const struct cel_type *below;
	struct cel_type *t;

	if (s->additional) {
		below = schema_type(a, s->additional, s->additional->flags & SF_EMBEDDED);
		return below ? cel_type_make(a, T_MAP, letter(a, "s"), below) : NULL;
	}
	t = arena_alloc(a, sizeof(*t));
	t->kind = T_SCHEMA;
	t->schema = s;
	t->root = root;
	return t;
}

static const struct cel_type *schema_type(struct arena *a, const struct schema *s, bool root)
{
	const struct cel_type *below;

	if (s->flags & SF_INT_OR_STRING)
		return letter(a, "D");
	switch (s->type) {
	case ST_ANY:
		return NULL;
	case ST_OBJECT:
		return object_type(a, s, root || (s->flags & SF_EMBEDDED));
	case ST_ARRAY:
		below = s->items ? schema_type(a, s->items, s->items->flags & SF_EMBEDDED) : NULL;
		return below ? cel_type_make(a, T_LIST, below, NULL) : NULL;
	case ST_STRING:
		return string_type(a, s);
	case ST_INTEGER:
		return letter(a, "i");
	case ST_NUMBER:
		return letter(a, "d");
	case ST_BOOLEAN:
		return letter(a, "b");
	}
	return NULL;
}

const struct cel_type *cel_type_of_schema(struct cel_env *env, const struct schema *s, bool root)
{
	return schema_type(env->arena, s, root);
}

/* kind, apiVersion, and of metadata what rules may see: name and generateName. */
static const struct cel_type *root_field(struct arena *a, const char *name, size_t len)
{
	struct cel_type *meta;

	if ((len == 4 && memcmp(name, "kind", 4) == 0) || (len == 10 && memcmp(name, "apiVersion", 10) == 0))
		return letter(a, "s");
	if (len != 8 || memcmp(name, "metadata", 8) != 0)
		return NULL;
	meta = arena_alloc(a, sizeof(*meta));
	meta->kind = T_STRUCT;
	meta->name = "object";
	meta->n = 2;
	meta->fields = arena_alloc(a, 2 * sizeof(*meta->fields));
	meta->fields[0] = (struct cel_tfield){ "name", letter(a, "s") };
	meta->fields[1] = (struct cel_tfield){ "generateName", letter(a, "s") };
	return meta;
}

const struct cel_type *cel_type_field(struct arena *a, const struct cel_type *t, const char *name, size_t len)
{
	CLEANUP(str_done) struct str plain = { 0 };
	const struct schema *s;
	const struct cel_type *f;

	if (t->kind == T_STRUCT) {
		for (size_t i = 0; i < t->n; i++)
			if (strlen(t->fields[i].name) == len && memcmp(t->fields[i].name, name, len) == 0)
				return t->fields[i].type;
		return NULL;
	}
	if (t->kind != T_SCHEMA)
		return NULL;
	f = t->root ? root_field(a, name, len) : NULL;
	if (f)
		return f;
	if (!cel_unescape(name, len, &plain))
		return NULL;
	s = schema_prop_of(t->schema, str_cstr(&plain), plain.len);
	return s ? schema_type(a, s, s->flags & SF_EMBEDDED) : NULL;
}
