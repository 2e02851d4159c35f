#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several servers on one etcd of three members (kubernetes-api.md 98-103): they serve the same state, and
killing any of them, or any member, loses nothing that was acknowledged. Prints TAP.

    checks.py [SECONDS [SEED]]     of disturbance under load; default 30"""
import concurrent.futures
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "api")]
from client import Client, Server, eventually  # noqa: E402
from cluster import Cluster, Proxy  # noqa: E402
from load import NS, Watcher, Writer, judge  # noqa: E402

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 30
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 30)
KILLS = int(os.environ.get("STORE_ETCD_KILLS", "6"))   # of servers, one after the other
PAUSE_MAX_S = 2.0   # what a watch may be interrupted for
CM = "/api/v1/namespaces/default/configmaps"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Skip(Exception):
    pass


def status(a, code):
    if a.status != code:
        raise AssertionError("got %d %s, want %d" % (a.status, a.body[:600], code))
    return a.json if a.body[:1] == b"{" else a.body


def cm(name, n="1", **meta):
    return {"metadata": dict({"name": name}, **meta), "data": {"n": n}}


class Shared:
    """Two servers on one cluster. late: everything that the second one hears of etcd is old news."""

    def __init__(self, late=0):
        self.cluster = Cluster()
        self.proxies = [Proxy(self.cluster.client[m], late) for m in self.cluster.names if late]
        ends = ",".join("https://127.0.0.1:%d" % p.port for p in self.proxies)
        self.servers = [Server(self.cluster.options()), Server(self.cluster.options(ends or None))]
        self.clients = [Client(s.kubeconfig) for s in self.servers]

    def remove(self):
        out = [s.remove() for s in self.servers]
        for p in self.proxies:
            p.close()
        self.cluster.remove()
        return out


w = None


# ---- one state ----
def servers_trust_each_other():
    a, b = w.clients
    assert a.ca == b.ca
    swapped = Client(w.servers[0].kubeconfig)   # A's certificate at B
    swapped.port = b.port
    status(swapped.get("/api/v1/nodes"), 200)


def what_one_writes_the_other_reads_at_once():
    a, b = w.clients
    for i in range(5):
        o = status(a.post(CM, cm("rw-%d" % i)), 201)
        got = status(b.get(CM + "/rw-%d" % i), 200)
        assert got == o, (got, o)
        o["data"]["n"] = "2"
        o = status(b.put(CM + "/rw-%d" % i, o), 200)
        o["data"]["n"] = "3"
        o = status(a.put(CM + "/rw-%d" % i, o), 200)
        items = status(b.get(CM), 200)
        assert int(items["metadata"]["resourceVersion"]) >= int(o["metadata"]["resourceVersion"])
        assert [x["data"]["n"] for x in items["items"] if x["metadata"]["name"] == "rw-%d" % i] == ["3"]
        status(a.delete(CM + "/rw-%d" % i), 200)
        status(b.get(CM + "/rw-%d" % i), 404)


def writes_build_on_what_the_other_wrote():
    a, b = w.clients
    for i in range(5):
        ns = "n-%d" % i
        status(a.post("/api/v1/namespaces", {"metadata": {"name": ns}}), 201)
        path = "/api/v1/namespaces/%s/configmaps" % ns
        status(b.post(path, cm("x")), 201)
        status(a.post(path, cm("x")), 409)
        status(a.merge(path + "/x", {"data": {"m": "1"}}), 200)
        status(b.merge(path + "/x", {"data": {"k": "1"}}), 200)
        assert status(a.get(path + "/x"), 200)["data"] == {"n": "1", "m": "1", "k": "1"}
        status(b.delete(path + "/x"), 200)
        status(a.delete(path + "/x"), 404)


def a_stale_write_is_refused_whoever_overtook_it():
    a, b = w.clients
    o = status(a.post(CM, cm("stale")), 201)
    status(b.merge(CM + "/stale", {"data": {"n": "2"}}), 200)
    assert "has been modified" in status(a.put(CM + "/stale", o), 409)["message"]
    status(a.delete(CM + "/stale"), 200)


def patches_through_both_all_land():
    a, b = w.clients
    status(a.post(CM, cm("counter")), 201)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda i: (a, b)[i % 2].merge(CM + "/counter", {"data": {"k%d" % i: "1"}}).status,
                              range(80)))
    assert set(codes) == {200}, codes
    assert len(status(b.get(CM + "/counter"), 200)["data"]) == 81


def names_are_taken_once():
    a, b = w.clients
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda i: (a, b)[i % 2].post(CM, cm("once-%d" % (i // 4))).status, range(80)))
    assert sorted(codes) == [201] * 20 + [409] * 60, codes


def a_definition_is_served_by_both():
    a, b = w.clients
    for i in range(5):
        group, plural = "g%d.example.dev" % i, "things"
        status(a.post(CRDS, {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                             "metadata": {"name": plural + "." + group}, "spec": {
                                 "group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": "Thing"},
                                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                                     "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}),
               201)
        path = "/apis/%s/v1/namespaces/default/%s" % (group, plural)
        status(b.post(path, {"apiVersion": group + "/v1", "kind": "Thing", "metadata": {"name": "t"}}), 201)
        status(a.get(path + "/t"), 200)
        status(b.delete(CRDS + "/%s.%s" % (plural, group)), 200)
        assert eventually(lambda: a.get(path + "/t").status == 404 and b.get(path + "/t").status == 404, 10)
        assert eventually(lambda: a.get(CRDS + "/%s.%s" % (plural, group)).status == 404, 10)


def a_token_of_one_is_good_at_the_other():
    a, b = w.clients
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    for i in range(5):
        status(a.post(accounts, {"metadata": {"name": "sa-%d" % i}}), 201)
        t = status(b.post(accounts + "/sa-%d/token" % i, {"apiVersion": "authentication.k8s.io/v1",
                                                          "kind": "TokenRequest", "spec": {}}), 201)["status"]["token"]
        at_a = Client(w.servers[0].kubeconfig, token=t)
        assert at_a.get("/api").status == 200
        status(b.delete(accounts + "/sa-%d" % i), 200)
        assert eventually(lambda: at_a.get("/api").status == 401)


def continue_tokens_and_watches_move_between_servers():
    a, b = w.clients
    for i in range(6):
        status(a.post(CM, cm("page-%d" % i, labels={"page": "y"})), 201)
    p = status(a.get(CM + "?limit=4&labelSelector=page=y"), 200)
    status(a.delete(CM + "/page-5"), 200)
    rest = status(b.get(CM + "?limit=4&labelSelector=page=y&continue=" + p["metadata"]["continue"]), 200)
    assert [x["metadata"]["name"] for x in rest["items"]] == ["page-4", "page-5"], rest
    events = b.watch(CM + "?labelSelector=page=y&resourceVersion=" + p["metadata"]["resourceVersion"])
    e = events.next()
    assert (e["type"], e["object"]["metadata"]["name"]) == ("DELETED", "page-5"), e
    events.close()


def namespaces_have_one_account_each():
    a, b = w.clients
    for c in (a, b):
        for ns in status(c.get("/api/v1/namespaces"), 200)["items"]:
            name = ns["metadata"]["name"]
            got = status(c.get("/api/v1/namespaces/%s/serviceaccounts" % name), 200)["items"]
            assert [x["metadata"]["name"] for x in got] == ["default"], (name, got)


def evictions_through_both_share_one_budget():
    a, b = w.clients
    pods, n = "/api/v1/namespaces/default/pods", 24
    for i in range(n):
        status(a.post(pods, {"metadata": {"name": "ev-%d" % i, "labels": {"ev": "y"}},
                             "spec": {"containers": [{"name": "c", "image": "x"}]}}), 201)
        status(b.merge(pods + "/ev-%d/status" % i, {"status": {
            "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}), 200)
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    o = status(a.post(path, {"metadata": {"name": "ev"}, "spec": {
        "minAvailable": 1, "selector": {"matchLabels": {"ev": "y"}}}}), 201)
    o["status"] = {"disruptionsAllowed": 5, "currentHealthy": n, "desiredHealthy": n - 5, "expectedPods": n,
                   "observedGeneration": 1}
    status(b.put(path + "/ev/status", o), 200)

    def evict(i):
        return (a, b)[i % 2].post(pods + "/ev-%d/eviction" % i, {
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "ev-%d" % i}}).status
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(evict, range(n)))
    assert (codes.count(201), codes.count(429)) == (5, n - 5), codes
    assert status(a.get(path + "/ev"), 200)["status"]["disruptionsAllowed"] == 0


def quota_is_shared():
    a, b = w.clients
    status(a.post("/api/v1/namespaces", {"metadata": {"name": "quota"}}), 201)
    quotas = "/api/v1/namespaces/quota/resourcequotas"
    status(a.post(quotas, {"metadata": {"name": "q"}, "spec": {"hard": {"secrets": "20"}}}), 201)
    assert eventually(lambda: b.get(quotas + "/q").json.get("status", {}).get("used", {}).get("secrets") == "0")
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda i: (a, b)[i % 2].post("/api/v1/namespaces/quota/secrets", {
            "metadata": {"name": "s-%d" % i}}), range(60)))
    codes = [x.status for x in answers]
    assert (codes.count(201), codes.count(403)) == (20, 40), (codes, set(x.json.get("message", "")[-60:] for x in answers))


def the_kubernetes_service_leads_to_both():
    def ports():
        o = status(w.clients[0].get("/api/v1/namespaces/default/endpoints/kubernetes"), 200)
        return sorted(s["ports"][0]["port"] for s in o["subsets"])
    both = sorted(c.port for c in w.clients)
    assert eventually(lambda: ports() == both), (ports(), both)
    w.servers[1].stop()
    assert eventually(lambda: ports() == [w.clients[0].port]), ports()
    w.servers[1].start()
    w.clients[1] = Client(w.servers[1].kubeconfig)
    assert eventually(lambda: len(ports()) == 2), ports()


def one_of_them_runs_the_controllers():
    """`coracle server`, two of them; the lease goes from one that stops to the other at once."""
    program = os.path.join(os.path.dirname(w.servers[0].program), "coracle")
    if not os.access(program, os.X_OK):
        raise Skip("there is no %s" % program)
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    procs = [Program(program, w.cluster.options() + ["--etcd-prefix", "/whole"]) for _ in range(2)]
    try:
        a, b = [p.client for p in procs]
        labels = {"matchLabels": {"a": "b"}}
        status(b.post(deployments, {"metadata": {"name": "d"}, "spec": {
            "replicas": 3, "selector": labels, "template": {
                "metadata": {"labels": labels["matchLabels"]}, "spec": {"containers": [{"name": "c", "image": "x"}]}}}}), 201)

        def made():
            sets = status(b.get("/apis/apps/v1/namespaces/default/replicasets"), 200)["items"]
            return len(sets), len(status(b.get("/api/v1/namespaces/default/pods"), 200)["items"])
        assert eventually(lambda: made() == (1, 3), 10), made()
        lease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/coracle-controllers"
        first = status(b.get(lease), 200)["spec"]["holderIdentity"]
        assert procs[0].end() == 0
        assert eventually(lambda: status(b.get(lease), 200)["spec"]["holderIdentity"] not in (first, ""), 10)
        status(b.merge(deployments + "/d", {"spec": {"replicas": 5}}), 200)
        assert eventually(lambda: made() == (1, 5), 10), made()
    finally:
        for p in procs:
            p.remove()


class Program:
    def __init__(self, program, args):
        self.dir = tempfile.mkdtemp(prefix="coracle-server-")
        self.proc = subprocess.Popen([program, "server", "--data-dir", self.dir, "--port", "0"] + args,
                                     stdout=subprocess.PIPE, text=True)
        for line in self.proc.stdout:
            if "KUBECONFIG=" in line:
                self.client = Client(line.split("=")[1].strip())
                return
        raise AssertionError("coracle server did not start")

    def end(self):
        self.proc.terminate()
        return self.proc.wait(20)

    def remove(self):
        if self.proc.poll() is None:
            self.end()
        shutil.rmtree(self.dir, ignore_errors=True)


# ---- after a restart ----
def a_restarted_server_knows_the_events_before_it():
    a, b = w.clients
    rv = status(a.get(CM), 200)["metadata"]["resourceVersion"]
    names = ["past-%d" % i for i in range(10)]
    for n in names:
        status(a.post(CM, cm(n)), 201)
    status(b.delete(CM + "/past-0"), 200)
    w.servers[0].restart(signal.SIGKILL)
    w.clients[0] = a = Client(w.servers[0].kubeconfig)
    status(a.post(CM, cm("present")), 201)
    events = a.watch(CM + "?resourceVersion=" + rv)
    got = [(e["type"], e["object"]["metadata"]["name"]) for e in (events.next() for _ in range(12))]
    events.close()
    assert got == [("ADDED", n) for n in names] + [("DELETED", "past-0"), ("ADDED", "present")], got


# ---- under load ----
def disturb(cluster, rnd):
    """One of what can happen, and a while after it. Returns what."""
    kind = rnd.choice(["leader", "leader", "follower", "hang", "quorum", "server", "server"])
    if kind == "server":
        i = rnd.randrange(len(w.servers))
        w.servers[i].stop(signal.SIGKILL)
        w.servers[i].start()
        w.clients[i].port = Client(w.servers[i].kubeconfig).port
        return "server %d killed" % i
    if kind == "quorum":
        two = rnd.sample(cluster.names, 2)
        for m in two:
            cluster.kill(m)
        time.sleep(3)
        for m in two:
            cluster.start(m)
        cluster.wait()
        return None   # nothing can be written meanwhile: watches have nothing to tell
    leader = cluster.leader()
    m = leader if kind == "leader" else rnd.choice([x for x in cluster.names if x != leader])
    if kind == "hang":
        cluster.members[m].send_signal(signal.SIGSTOP)
        time.sleep(3)
        cluster.members[m].send_signal(signal.SIGCONT)
        return "%s hung for 3 s" % m
    cluster.kill(m)
    time.sleep(1.5)
    cluster.start(m)
    return "%s %s killed" % (kind, m)


def under_load(disturbances):
    """disturbances(rnd): a generator that disturbs and says what it has done. Everything acknowledged has to be there after it."""
    rnd = random.Random(SEED)
    a = w.clients[0]
    assert a.post("/api/v1/namespaces", {"metadata": {"name": "load"}}).status in (201, 409)
    rv = int(status(a.get(NS), 200)["metadata"]["resourceVersion"])
    tag = "%s%d" % (disturbances.__name__[0], len(status(a.get(NS), 200)["items"]))
    watchers = [Watcher("watcher-%d" % i, c, rv) for i, c in enumerate(w.clients)]
    writers = [Writer("w%s-%d" % (tag, i), w.clients[i % 2], SEED + i) for i in range(6)]
    for t in watchers + writers:
        t.start()
    pauses, before = [0], [(0, 0)] * 2
    for what in disturbances(rnd):
        for t, (n, breaks) in zip(watchers, before):
            times = t.times[max(n - 1, 0):]
            pause = max((y - x for x, y in zip(times, times[1:])), default=99)
            # a killed server's own watch waits for its restart
            if t.breaks == breaks and what:
                pauses.append(pause)
                print("# %s: %s paused %.2f s" % (what, t.name, pause), flush=True)
        before = [(len(t.times), t.breaks) for t in watchers]
    for t in writers:
        t.ending = True
    for t in writers:
        t.join(60)
    for t in writers:   # with nothing under way, what is there is what it was left as
        for k in t.keys:
            t.read(k)
    last = int(status(w.clients[0].post(NS, cm("last-" + tag)), 201)["metadata"]["resourceVersion"])
    for t in watchers:
        assert eventually(lambda: t.rv >= last, 10), "%s has come to %d only, not %d" % (t.name, t.rv, last)
        t.end()
    wrong = judge(writers, watchers, last)
    acked, lost = sum(len(t.acked) for t in writers), sum(t.unanswered + t.refused for t in writers)
    print("# %d puts acknowledged, %d not answered or failed, %d events, longest pause %.2f s, seed %d" %
          (acked, lost, len(watchers[0].events), max(pauses), SEED))
    assert not wrong, "\n".join(wrong[:20])
    assert max(pauses) <= PAUSE_MAX_S, "a watch was interrupted for %.2f s" % max(pauses)
    assert acked > 200, "hardly any load"


def nothing_acknowledged_is_lost():
    def members_and_servers(rnd):
        end = time.monotonic() + SECONDS
        yield None
        while time.monotonic() < end:
            time.sleep(rnd.random())
            what = disturb(w.cluster, rnd)
            time.sleep(1.5)
            w.cluster.wait()
            yield what
    under_load(members_and_servers)


def servers_may_die_all_the_time():
    def servers(rnd):
        for i in range(KILLS):
            s = w.servers[i % 2]
            time.sleep(rnd.random() / 2)
            s.stop(signal.SIGKILL)
            s.start()
            w.clients[i % 2].port = Client(s.kubeconfig).port
        yield None
    under_load(servers)


# ---- a store of its own each ----
def a_server_that_was_cut_off_too_long_reads_everything_anew():
    cluster = Cluster(1)
    proxy = Proxy(cluster.client["m0"])
    servers = [Server(cluster.options()), Server(cluster.options("https://127.0.0.1:%d" % proxy.port))]
    try:
        a, b = [Client(s.kubeconfig) for s in servers]
        for n in ("stays", "changes", "goes"):
            status(a.post(CM, cm(n)), 201)
        status(b.get(CM + "/goes"), 200)
        rv = status(b.get(CM), 200)["metadata"]["resourceVersion"]
        events = b.watch(CM + "?resourceVersion=" + rv)
        proxy.cut()
        time.sleep(0.2)
        status(a.merge(CM + "/changes", {"data": {"n": "2"}}), 200)
        status(a.delete(CM + "/goes"), 200)
        o = status(a.post(CM, cm("comes")), 201)
        cluster.ctl("compact", o["metadata"]["resourceVersion"])
        assert b.get(CM + "/stays?resourceVersion=0").status == 200   # old, and said to be
        assert eventually(lambda: b.get("/readyz").status == 500, 8)
        proxy.mend()
        assert eventually(lambda: b.get("/readyz").status == 200, 8)
        e = events.next()
        assert (e["type"], e["object"]["code"]) == ("ERROR", 410), e
        events.close()
        now = lambda c: {x["metadata"]["name"]: (x["data"]["n"], x["metadata"]["resourceVersion"])
                         for x in status(c.get(CM), 200)["items"] if "n" in x["data"]}
        assert sorted(now(a)) == ["changes", "comes", "stays"]
        assert eventually(lambda: now(a) == now(b)), (now(a), now(b))
        status(b.post(CM, cm("after")), 201)
        assert now(a) == now(b)
    finally:
        proxy.close()
        for s in servers:
            s.remove()
        cluster.remove()


def a_full_store_refuses_writes_and_serves_reads():
    cluster = Cluster(1, tls=False)
    cluster.kill("m0")
    cluster.start("m0", "--quota-backend-bytes", str(4 * 1024 * 1024))
    cluster.wait()
    s = Server(cluster.options())
    try:
        k = Client(s.kubeconfig)
        status(k.post(CM, cm("small")), 201)
        pad = "x" * 200000
        codes = [k.put(CM + "/small", dict(cm("small"), data={"n": str(i), "pad": pad})).status for i in range(60)]
        assert codes[-1] == 500 and 200 in codes, codes
        a = k.post(CM, cm("more"))
        assert "NOSPACE" in status(a, 500)["message"], a.body
        assert "NOSPACE" in k.get("/readyz?verbose").body.decode()
        status(k.get("/readyz"), 500)
        status(k.get(CM + "/small"), 200)
        status(k.get(CM), 200)
        rev = status(k.get(CM), 200)["metadata"]["resourceVersion"]
        cluster.ctl("compact", rev)
        cluster.ctl("defrag")
        cluster.ctl("alarm", "disarm")
        assert eventually(lambda: k.get("/readyz").status == 200, 10)
        status(k.post(CM, cm("more")), 201)
    finally:
        s.remove()
        cluster.remove()


def main():
    global w
    checks = [servers_trust_each_other, what_one_writes_the_other_reads_at_once, writes_build_on_what_the_other_wrote,
              a_stale_write_is_refused_whoever_overtook_it, patches_through_both_all_land, names_are_taken_once,
              a_definition_is_served_by_both, a_token_of_one_is_good_at_the_other,
              continue_tokens_and_watches_move_between_servers, evictions_through_both_share_one_budget, quota_is_shared,
              the_kubernetes_service_leads_to_both, one_of_them_runs_the_controllers, a_restarted_server_knows_the_events_before_it,
              nothing_acknowledged_is_lost, servers_may_die_all_the_time, namespaces_have_one_account_each,
              a_server_that_was_cut_off_too_long_reads_everything_anew, a_full_store_refuses_writes_and_serves_reads]
    only = os.environ.get("ONLY")
    failed = n = 0
    out = []
    fresh = checks[1:5] + checks[6:9]
    for check in ["late"] + fresh + ["even"] + checks:
        if isinstance(check, str):
            out += w.remove() if w else []
            w = Shared(0.08 if check == "late" else 0)
            late = check == "late"
            continue
        if only and only not in check.__name__:
            continue
        n += 1
        try:
            check()
            print("ok %d - %s%s" % (n, check.__name__, ", late" if late else ""), flush=True)
        except Skip as e:
            print("ok %d - %s # skip %s" % (n, check.__name__, e), flush=True)
        except Exception as e:
            failed += 1
            print("not ok %d - %s" % (n, check.__name__))
            text = str(e) or traceback.format_exc()
            print("\n".join("# " + line for line in text.split("\n")[:30]), flush=True)
    n += 1
    out += w.remove()
    bad = [line for _, log in out for line in log.split("\n") if "error" in line[:60] or "runtime error" in line
           or "AddressSanitizer" in line]
    good = all(rc == 0 for rc, _ in out) and not bad
    print("%s %d - the servers end cleanly and logged no error" % ("ok" if good else "not ok", n))
    if failed:
        for i, (_, log) in enumerate(out):
            print("\n".join("# server %d: %s" % (i, line) for line in log.split("\n") if " store: " in line))
    if not good:
        print("# %s %s" % ([rc for rc, _ in out], "\n# ".join(bad[:20])))
    print("1..%d" % n)
    sys.exit(1 if failed or not good else 0)


if __name__ == "__main__":
    main()
