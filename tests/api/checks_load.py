# SPDX-License-Identifier: Apache-2.0
"""What happens to those who ask for too much, and the audit log. With servers of its own, whose limits are low."""
import base64
import http.client
import json
import os
import threading
import time

import conformance as c
from backend import Backend
from client import Client, Server, eventually
from conformance import eq, status

CM = "/api/v1/namespaces/default/configmaps"
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


class Slow:
    """A server on which a create that is labelled slow=yes takes until let_go()."""

    def __init__(self, *args):
        if not c.OWN:
            raise c.Skip()
        self.server = Server(args)
        self.k = Client(self.server.kubeconfig)
        self.gate = threading.Event()
        self.at_work = self.most = 0
        self.lock = threading.Lock()
        self.backend = Backend(self.answer, "localhost")
        status(self.k.post(HOOKS, {"metadata": {"name": "slow"}, "webhooks": [{
            "name": "slow.coracle.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 30,
            "clientConfig": {"url": "https://localhost:%d/" % self.backend.port,
                             "caBundle": base64.b64encode(self.backend.ca.encode()).decode()},
            "objectSelector": {"matchLabels": {"slow": "yes"}},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]}]}),
               201)
        self.threads, self.answers = [], []

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.let_go()
        self.backend.close()
        rc, text = self.server.remove()
        if rc != 0:
            raise AssertionError("the server ended with %d\n%s" % (rc, text[-4000:]))

    def answer(self, r):
        with self.lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        self.gate.wait(25)
        with self.lock:
            self.at_work -= 1
        uid = json.loads(r.body)["request"]["uid"]
        return 200, {}, {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                         "response": {"uid": uid, "allowed": True}}

    def post(self, n):
        def one(name):
            a = self.k.post(CM, {"metadata": {"name": name, "labels": {"slow": "yes"}}})
            with self.lock:
                self.answers.append(a)
        for _ in range(n):
            t = threading.Thread(target=one, args=(c.fresh("slow"),))
            t.start()
            self.threads.append(t)

    def let_go(self):
        self.gate.set()
        for t in self.threads:
            t.join()
        self.threads = []


def t00_requests_in_flight_of_one_user_are_bounded_and_others_pass():
    """max-requests-inflight (FLOW_SEATS_USER); a user that is out of seats does not hold up another one."""
    with Slow("--max-requests-inflight=3") as s:
        s.post(8)
        assert eventually(lambda: s.at_work == 3), s.at_work
        t = time.monotonic()
        other = {"Impersonate-User": "somebody", "Impersonate-Group": "system:masters"}
        status(s.k.get(CM, headers=other), 200)
        status(s.k.get("/readyz"), 200)
        assert time.monotonic() - t < 5
        eq(len(s.answers), 0)
        s.let_go()
        eq(sorted(a.status for a in s.answers), [201] * 8)
        assert s.most <= 3, s.most


def t00_too_many_waiting_requests_get_429():
    """FLOW_QUEUE_USER: the one after the last place in the queue is told when to come again."""
    with Slow("--max-requests-inflight=1") as s:
        s.post(1)
        assert eventually(lambda: s.at_work == 1)
        s.post(404)
        assert eventually(lambda: len(s.answers) >= 4, 20), len(s.answers)
        for a in list(s.answers):
            eq(a.status, 429)
            eq((a.json["reason"], a.json["details"]["retryAfterSeconds"], a.headers["Retry-After"]),
               ("TooManyRequests", 1, "1"))
        s.let_go()
        codes = [a.status for a in s.answers]  # on a slow machine some have waited FLOW_WAIT_MS
        eq(codes.count(201) + codes.count(429), 405)
        assert codes.count(201) > 1, codes.count(201)


def t00_a_client_that_leaves_the_queue_gives_its_place_back():
    with Slow("--max-requests-inflight=1") as s:
        s.post(1)
        assert eventually(lambda: s.at_work == 1)
        gone = []
        for _ in range(20):
            h = http.client.HTTPSConnection(s.k.host, s.k.port, context=s.k.tls, timeout=20)
            h.request("GET", CM)
            gone.append(h)
        for h in gone:
            h.close()
        s.let_go()
        status(s.k.get(CM), 200)


def t26b_requests_end_in_time():
    """The query's timeout shortens 34 s for writes, 60 s for reads (2.5); what it works on is let go, others are not held up."""
    with Slow("--max-requests-inflight=2") as slow:
        began = time.monotonic()
        body = {"metadata": {"name": "late", "labels": {"slow": "yes"}}}
        a = slow.k.post(CM + "?timeout=500ms", body)
        took = time.monotonic() - began
        o = status(a, 504, "Timeout")
        eq(o["message"], "Timeout: request did not complete within requested timeout - context deadline exceeded")
        assert 0.4 < took < 3, took
        # one of two places is taken by nobody now: two more wait for the webhook, and a third for its turn, in vain
        began = time.monotonic()
        answers = []

        def late(i):
            answers.append(slow.k.post(CM + "?timeout=1s", {"metadata": {"name": "late%d" % i, "labels": {"slow": "yes"}}}).status)
        threads = [threading.Thread(target=late, args=(i,)) for i in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        eq(answers, [504] * 3)
        assert time.monotonic() - began < 4
        rv = status(slow.k.get(CM + "?timeout=1s"), 200)["metadata"]["resourceVersion"]
        status(slow.k.get("/api?timeout=32s"), 200)
        a = slow.k.post(CM + "?timeout=soon", {"metadata": {"name": "x"}})
        eq(status(a, 400, "BadRequest")["message"], 'invalid timeout specified in the request URL - time: invalid duration "soon"')
        w = slow.k.watch(CM + "?timeout=200ms&timeoutSeconds=20&resourceVersion=" + rv)
        assert w.quiet(1)
        w.close()
        slow.let_go()
        # what was begun may yet be written, and the server is none the worse
        assert eventually(lambda: slow.k.get(CM + "/late").status == 200)
        status(slow.k.post(CM, {"metadata": {"name": "after", "labels": {"slow": "yes"}}}), 201)


def audit_lines(path):
    return [json.loads(line) for line in open(path)] if os.path.exists(path) else []


def t00b_webhooks_and_policies_write_into_the_audit_log():
    """response.auditAnnotations under the webhook's name; the action Audit of ValidatingAdmissionPolicies (5.1)."""
    adm = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"

    def answer(r):
        uid = json.loads(r.body)["request"]["uid"]
        return 200, {}, {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
            "uid": uid, "allowed": True, "auditAnnotations": {"seen": "yes", "why": "it was there"}}}
    with Slow("--audit-log=audit.log") as slow:
        k, path = slow.k, os.path.join(slow.server.dir, "audit.log")
        slow.backend.handler = answer
        status(k.post(adm + "ies", {"metadata": {"name": "no-b"}, "spec": {
            "matchConstraints": {"resourceRules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                                                    "resources": ["configmaps"]}]},
            "validations": [{"expression": "!has(object.data) || !('b' in object.data)", "message": "no b"}]}}), 201)
        status(k.post(adm + "ybindings", {"metadata": {"name": "no-b"}, "spec": {
            "policyName": "no-b", "validationActions": ["Audit"]}}), 201)

        def notes(name, data):
            status(k.post(CM, {"metadata": {"name": name, "labels": {"slow": "yes"}}, "data": data}), 201)
            def of_creates():
                return [e for e in audit_lines(path) if e["verb"] == "create" and e.get("objectRef", {}).get("resource") == "configmaps"]
            notes.n += 1
            assert eventually(lambda: len(of_creates()) == notes.n)  # the answer may be quicker than its line
            e = of_creates()[-1]
            return {k: v for k, v in e["annotations"].items() if "authorization" not in k}
        notes.n = 0
        by_hook = {"slow.coracle.dev/seen": "yes", "slow.coracle.dev/why": "it was there"}
        eventually(lambda: notes("first" + str(time.monotonic_ns()), {"b": "1"}).keys() > by_hook.keys())
        eq(notes("good", {"a": "1"}), by_hook)
        got = notes("bad", {"b": "1"})
        failure = json.loads(got.pop("validation.policy.admission.k8s.io/validation_failure"))
        eq(got, by_hook)
        eq(failure, [{"message": "no b", "policy": "no-b", "binding": "no-b", "validationActions": ["Audit"]}])


def t00_the_audit_log_has_a_line_for_each_answer():
    if not c.OWN:
        raise c.Skip()
    s = Server(["--audit-log=audit.log"])
    path = os.path.join(s.dir, "audit.log")
    try:
        k = Client(s.kubeconfig)
        status(k.post(CM + "?fieldManager=me", {"metadata": {"name": "a"}, "data": {"secret": "word"}},
                      headers={"User-Agent": "tester/1"}), 201)
        status(k.get(CM + "/none", headers={"Impersonate-User": "somebody"}), 403)
        status(Client(s.kubeconfig, token="bad").get(CM), 401)
        status(k.get("/readyz"), 200)
        w = k.watch(CM + "?timeoutSeconds=1")
        while w.next():
            pass
        w.close()

        def find(**want):
            return [e for e in audit_lines(path) if all(e.get(x) == v for x, v in want.items())]
        (e,) = find(verb="create", requestURI=CM + "?fieldManager=me")
        eq((e["kind"], e["apiVersion"], e["level"], e["stage"], e["responseStatus"]["code"], e["userAgent"], e["sourceIPs"]),
           ("Event", "audit.k8s.io/v1", "Metadata", "ResponseComplete", 201, "tester/1", ["127.0.0.1"]))
        eq(e["objectRef"], {"resource": "configmaps", "namespace": "default", "apiVersion": "v1"})
        assert "system:masters" in e["user"]["groups"] and e["auditID"] and e["annotations"][
            "authorization.k8s.io/decision"] == "allow", e
        assert e["requestReceivedTimestamp"] <= e["stageTimestamp"]
        (e,) = find(requestURI=CM + "/none")
        eq((e["responseStatus"]["code"], e["impersonatedUser"]["username"], e["annotations"]["authorization.k8s.io/decision"]),
           (403, "somebody", "forbid"))
        (e,) = [e for e in audit_lines(path) if e.get("responseStatus", {}).get("code") == 401]
        assert "username" not in e["user"], e
        assert eventually(lambda: len(find(verb="watch", requestURI=CM + "?timeoutSeconds=1&watch=true")) == 2)
        eq([e["stage"] for e in find(verb="watch", requestURI=CM + "?timeoutSeconds=1&watch=true")],
           ["ResponseStarted", "ResponseComplete"])
        text = open(path).read()
        assert "readyz" not in text and "word" not in text
        eq(os.stat(path).st_mode & 0o777, 0o600)
    finally:
        rc, log = s.remove()
    eq(rc, 0, log)
