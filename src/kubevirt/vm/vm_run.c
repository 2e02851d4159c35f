/* SPDX-License-Identifier: Apache-2.0 */
/* Which instance a VM should have: kubevirt-api.md 3. */
#include "kubevirt/vm/vm_impl.h"

#include "base/mem.h"

static const char *const strategy_names[RUN_MAX] = {
#define X(id, name) [RUN_##id] = name,
	RUN_STRATEGIES(X)
#undef X
};

static const enum run_act table[RUN_MAX][INST_MAX] = {
	/* found:               none                live      succeeded failed    going */
	[RUN_ALWAYS] = { ACT_START, ACT_KEEP, ACT_STOP, ACT_STOP, ACT_KEEP },
	[RUN_RERUN_ON_FAILURE] = { ACT_START_IF_ASKED, ACT_KEEP, ACT_STOP, ACT_STOP, ACT_KEEP },
	[RUN_MANUAL] = { ACT_START_IF_ASKED, ACT_KEEP, ACT_KEEP, ACT_KEEP, ACT_KEEP },
	[RUN_HALTED] = { ACT_KEEP, ACT_STOP, ACT_STOP, ACT_STOP, ACT_KEEP },
	[RUN_ONCE] = { ACT_START, ACT_KEEP, ACT_KEEP, ACT_KEEP, ACT_KEEP },
	[RUN_WAIT_AS_RECEIVER] = { ACT_KEEP, ACT_KEEP, ACT_KEEP, ACT_KEEP, ACT_KEEP },
};

enum run_act vm_run_table(enum run_strategy s, enum run_inst i)
{
	return table[s][i];
}

const char *vm_run_strategy_name(enum run_strategy s)
{
	return strategy_names[s];
}

enum run_strategy vm_run_strategy(const struct json *vm)
{
	const char *text = json_at_str(vm, "/spec/runStrategy");

	for (int i = 0; text && i < RUN_MAX; i++)
		if (str_eq(text, strategy_names[i]))
			return (enum run_strategy)i;
	return json_bool(json_at(vm, "/spec/running")) ? RUN_ALWAYS : RUN_HALTED;
}

enum run_inst vm_run_inst(const struct vm_seen *s)
{
	if (!s->vmi)
		return INST_NONE;
	if (obj_deleting(s->vmi))
		return INST_GOING;
	switch (vmi_phase(obj_json(s->vmi))) {
	case VMI_SUCCEEDED:
		return INST_SUCCEEDED;
	case VMI_FAILED:
		return INST_FAILED;
	default:
		return INST_LIVE;
	}
}

/* ---- stateChangeRequests: only the first counts ---- */
enum ask { ASK_NONE, ASK_START, ASK_STOP };

static enum ask first_ask(const struct vm_turn *t, const struct json **ret)
{
	const struct json *first = json_item(json_get(t->status, "stateChangeRequests"), 0);
	const char *action = json_get_str(first, "action");

	*ret = first;
	if (str_eq(action, "Start"))
		return ASK_START;
	return str_eq(action, "Stop") ? ASK_STOP : ASK_NONE;
}

static bool paused_start(const struct json *request)
{
	return str_eq(json_at_str(request, "/data/paused"), "true");
}

/* A request ends when its effect is seen; one that means nothing to the strategy ends at once. */
static bool ask_is_over(
	const struct vm_seen *s, const struct vm_turn *t, enum ask ask, const struct json *request)
{
	switch (ask) {
	case ASK_STOP:
		return !s->vmi || !str_eq(obj_uid(s->vmi), json_get_str(request, "uid"));
	case ASK_START:
		return t->inst == INST_LIVE || (t->strategy == RUN_HALTED && !paused_start(request));
	default:
		return true;
	}
}

static enum ask settle_asks(const struct vm_seen *s, struct vm_turn *t, const struct json **ret)
{
	struct json *list = json_get(t->status, "stateChangeRequests");
	enum ask ask = ASK_NONE;

	while (json_len(list)) {
		ask = first_ask(t, ret);
		if (!ask_is_over(s, t, ask, *ret))
			return ask;
		json_remove_item(list, 0);
	}
	json_remove(t->status, "stateChangeRequests");
	*ret = NULL;
	return ASK_NONE;
}

static void queue_start(struct vm_turn *t)
{
	struct json *list = json_need_arr(t->doc, t->status, "stateChangeRequests");
	struct json *request;

	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "action"), "Start"))
			return;
	request = json_new_obj(t->doc);
	json_set_str(t->doc, request, "action", "Start");
	json_append(t->doc, list, request);
}

/* Written into the status before the evidence goes: a strategy that has just become RerunOnFailure, a failed instance. */
static void note_starts(const struct vm_seen *s, struct vm_turn *t)
{
	const char *before = json_str_or(json_get(t->status, "runStrategy"), "");

	if (t->strategy == RUN_RERUN_ON_FAILURE &&
		((t->inst == INST_NONE && !str_eq(before, strategy_names[t->strategy]) &&
			 !json_len(json_get(t->status, "stateChangeRequests"))) ||
			t->inst == INST_FAILED))
		queue_start(t);
	json_set_str(t->doc, t->status, "runStrategy", strategy_names[t->strategy]);
}

/* An instance that failed stays until the next attempt is due: it, its events and its pod's log say why. */
static void hold_back(const struct vm_seen *s, struct vm_turn *t, bool asked)
{
	int64_t until = vm_backoff_until(t->status);

	if (until <= s->now || t->strategy == RUN_MANUAL || t->strategy == RUN_HALTED)
		return;
	if (t->act != ACT_START && !(t->act == ACT_STOP && t->inst == INST_FAILED && !asked))
		return;
	t->act = ACT_KEEP;
	t->retry_at = until;
}

void vm_run(const struct vm_seen *s, struct vm_turn *t)
{
	const struct json *request = NULL;
	enum ask ask;

	t->strategy = vm_run_strategy(obj_json(s->vm));
	t->inst = vm_run_inst(s);
	vm_backoff_count(s, t);
	ask = settle_asks(s, t, &request);
	t->paused = ask == ASK_START && paused_start(request);
	t->to_always = t->strategy == RUN_HALTED && t->paused && t->inst == INST_NONE;
	note_starts(s, t);
	if (ask == ASK_NONE)
		ask = first_ask(t, &request);

	t->act = table[t->strategy][t->inst];
	if (ask == ASK_STOP && t->inst != INST_NONE && t->inst != INST_GOING)
		t->act = ACT_STOP; /* this instance goes, whatever the strategy */
	if (t->act == ACT_START_IF_ASKED)
		t->act = ask == ASK_START ? ACT_START : ACT_KEEP;
	if (t->act == ACT_START && s->foreign)
		t->act = ACT_KEEP; /* its name is taken; we are woken when it is free */
	hold_back(s, t, ask == ASK_STOP);
}
