# SPDX-License-Identifier: Apache-2.0
"""Pods on a real node: coracle-node-dev runs them, kubectl looks. TAP on stdout.

    pods.py TOP BIN KUBECTL [TEST]...
"""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP, BIN, KUBECTL = sys.argv[1:4]
ONLY = sys.argv[4:]
IMAGE = "coracle.dev/coracle-shim:v0"


class Failed(Exception):
    pass


def check(cond, text):
    if not cond:
        raise Failed(text)


class Node:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="coracle-pods-")
        self.proc = None
        os.makedirs(self.dir + "/releases/v0/bin")
        shutil.copy(BIN + "/coracle-shim", self.dir + "/releases/v0/bin/")
        self.port = "0"

    def start(self):
        self.log = open(self.dir + "/log", "ab")
        self.proc = subprocess.Popen([BIN + "/coracle-node-dev", self.dir, self.port], stdout=subprocess.PIPE, stderr=self.log)
        check(self.proc.stdout.readline().strip(), "the node does not start: " + self.tail())
        self.port = self.kubeconfig_port()
        wait(lambda: self.k("get", "serviceaccount", "default").returncode == 0, 20, "no default service account")

    def kubeconfig_port(self):
        for line in open(self.dir + "/kubeconfig"):
            if "server:" in line:
                return line.strip().rsplit(":", 1)[1].strip('"')
        return "0"

    def tail(self):
        return open(self.dir + "/log", errors="replace").read()[-2000:]

    def kill(self):
        self.proc.kill()
        self.proc.wait()

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        return self.proc.wait(30)

    def k(self, *args, stdin=None):
        return subprocess.run([KUBECTL, "--kubeconfig", self.dir + "/kubeconfig", *args], input=stdin, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

    def apply(self, *objects):
        r = self.k("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
        check(r.returncode == 0, r.stderr)

    def get(self, kind, name):
        r = self.k("get", kind, name, "-o", "json")
        return json.loads(r.stdout) if r.returncode == 0 else None

    def pod(self, name):
        return self.get("pod", name)

    def wait_pod(self, name, want, seconds=15):
        last = {}

        def ok():
            p = self.pod(name)
            last["p"] = p
            return p and want(p)
        wait(ok, seconds, lambda: "pod %s: %s" % (name, json.dumps((last.get("p") or {}).get("status"))))
        return last["p"]

    def running(self, name, seconds=15):
        return self.wait_pod(name, lambda p: phase(p) == "Running" and ready(p), seconds)

    def logs(self, name, *args):
        return self.k("logs", name, *args).stdout

    def events(self, name):
        r = self.k("get", "events", "--field-selector", "involvedObject.name=" + name, "-o", "json")
        return [(e["reason"], e["message"]) for e in json.loads(r.stdout)["items"]]

    def delete(self, name, grace="1"):
        self.k("delete", "pod", name, "--grace-period=" + grace)


def wait(fn, seconds, text):
    end = time.monotonic() + seconds
    while not fn():
        if time.monotonic() > end:
            raise Failed("not within %d s: %s" % (seconds, text() if callable(text) else text))
        time.sleep(0.05)


def phase(p):
    return p.get("status", {}).get("phase")


def ready(p):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))


def ctr(p, i=0):
    s = p["status"].get("containerStatuses") or [{}]
    return s[i]


def make(name, command, ctr_extra=None, **spec):
    c = {"name": "c", "image": IMAGE, "command": command if isinstance(command, list) else ["sh", "-c", command]}
    c.update(ctr_extra or {})
    s = {"terminationGracePeriodSeconds": 1, "containers": [c]}
    s.update(spec)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": s}


def cgroup_limit(uid):
    for f in glob.glob("/sys/fs/cgroup/memory/coracle*/pod%s/c/memory.limit_in_bytes" % uid) + \
            glob.glob("/sys/fs/cgroup/coracle*/pod%s/c/memory.max" % uid):
        return open(f).read().strip()
    return None


def main_pid(n, uid):
    for f in sorted(glob.glob(n.dir + "/pods/%s/c/c/*/status" % uid))[-1:]:
        for line in open(f):
            if line.startswith("pid "):
                return int(line.split()[1])
    return None


TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


@test
def a_node_is_registered_once(n):
    def used():
        stat = open("/proc/%d/stat" % n.proc.pid).read().rsplit(")", 1)[1].split()
        return int(stat[11]) + int(stat[12])
    wait(lambda: " is registered" in n.tail(), 10, lambda: n.tail())
    before = used()
    time.sleep(0.5)
    check(used() - before < 5, "%d hundredths of a second in half a second" % (used() - before))


@test
def a_pod_runs_with_its_own_name_address_and_token(n):
    n.apply(make("basic", "hostname; ip -4 -o addr show eth0; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace; echo;"
                 "echo $KUBERNETES_SERVICE_PORT $NODE; exec sleep 1000",
                 {"env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}))
    p = n.running("basic")
    lines = n.logs("basic").split("\n")
    check(lines[0] == "basic", lines)
    check(p["status"]["podIP"] in lines[1], lines)
    check(lines[2] == "default", lines)
    check(lines[3] == "%s %s" % (n.port, p["spec"]["nodeName"]), lines)
    check(p["status"]["qosClass"] == "BestEffort" and p["status"]["hostIP"], p["status"])
    n.delete("basic")


@test
def it_can_reach_the_api_server_with_its_token(n):
    n.apply(make("caller", ["python3", "-c", """
import os,ssl,urllib.request as u
d='/var/run/secrets/kubernetes.io/serviceaccount/'
r=u.Request('https://%s:%s/version'%(os.environ['KUBERNETES_SERVICE_HOST'],os.environ['KUBERNETES_SERVICE_PORT']),
  headers={'Authorization':'Bearer '+open(d+'token').read()})
print(u.urlopen(r,context=ssl.create_default_context(cafile=d+'ca.crt')).status)"""], restartPolicy="Never"))
    n.wait_pod("caller", lambda p: phase(p) in ("Succeeded", "Failed"))
    check(n.logs("caller").strip() == "200", n.logs("caller"))
    n.delete("caller")


@test
def a_container_that_ends_is_started_again_with_back_off(n):
    n.apply(make("crash", "echo run $$; exit 3"))
    p = n.wait_pod("crash", lambda p: ctr(p).get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff")
    check(ctr(p)["restartCount"] == 1, ctr(p))
    check(ctr(p)["lastState"]["terminated"]["exitCode"] == 3, ctr(p))
    check(n.logs("crash", "--previous").startswith("run "), "log of the first attempt")
    check(any(r == "BackOff" for r, _ in n.events("crash")), n.events("crash"))
    n.delete("crash")


@test
def restart_policies_end_pods(n):
    n.apply(make("good", "exit 0", restartPolicy="Never"), make("bad", "exit 4", restartPolicy="Never"),
            make("later", "test -e /w/x && exit 0; touch /w/x; exit 1", {"volumeMounts": [{"name": "w", "mountPath": "/w"}]},
                 restartPolicy="OnFailure", volumes=[{"name": "w", "emptyDir": {}}]))
    n.wait_pod("good", lambda p: phase(p) == "Succeeded")
    p = n.wait_pod("bad", lambda p: phase(p) == "Failed")
    check(ctr(p)["state"]["terminated"]["exitCode"] == 4, ctr(p))
    p = n.wait_pod("later", lambda p: phase(p) == "Succeeded")
    check(ctr(p)["restartCount"] == 1, ctr(p))
    for name in ("good", "bad", "later"):
        n.delete(name)


@test
def the_last_words_of_a_container_are_told(n):
    n.apply(make("words", "echo -n because > /dev/termination-log; exit 1", restartPolicy="Never"),
            make("tail", "echo one; echo two; exit 1", {"terminationMessagePolicy": "FallbackToLogsOnError"}, restartPolicy="Never"))
    p = n.wait_pod("words", lambda p: phase(p) == "Failed")
    check(ctr(p)["state"]["terminated"]["message"] == "because", ctr(p))
    p = n.wait_pod("tail", lambda p: phase(p) == "Failed")
    check(ctr(p)["state"]["terminated"]["message"] == "one\ntwo\n", ctr(p))
    n.delete("words")
    n.delete("tail")


@test
def init_containers_run_one_after_the_other(n):
    w = [{"name": "w", "mountPath": "/w"}]
    init = [{"name": "i%d" % i, "image": IMAGE, "command": ["sh", "-c", "echo %d >> /w/x" % i], "volumeMounts": w} for i in (1, 2)]
    n.apply(make("init", "cat /w/x", {"volumeMounts": w}, restartPolicy="Never", initContainers=init,
                 volumes=[{"name": "w", "emptyDir": {"medium": "Memory"}}]))
    n.wait_pod("init", lambda p: phase(p) == "Succeeded")
    check(n.logs("init", "-c", "c") == "1\n2\n", n.logs("init", "-c", "c"))
    n.delete("init")


@test
def memory_over_the_limit_is_told_as_oom(n):
    n.apply(make("oom", ["python3", "-c", "x=bytearray(200<<20)"], {"resources": {"limits": {"memory": "64Mi"}}}, restartPolicy="Never"))
    p = n.wait_pod("oom", lambda p: phase(p) == "Failed")
    check(ctr(p)["state"]["terminated"]["reason"] == "OOMKilled", ctr(p))
    n.delete("oom")


@test
def a_guaranteed_pod_is_the_last_to_be_killed_as_far_as_we_may_say_so(n):
    both = {"cpu": "100m", "memory": "64Mi"}
    n.apply(make("sure", "cat /proc/self/oom_score_adj", {"resources": {"limits": both, "requests": both}}, restartPolicy="Never"))
    p = n.wait_pod("sure", lambda p: phase(p) in ("Succeeded", "Failed"))
    caps = [int(line.split()[1], 16) for line in open("/proc/self/status") if line.startswith("CapEff")][0]
    own = open("/proc/self/oom_score_adj").read().strip()
    check((p["status"]["qosClass"], n.logs("sure").strip()) == ("Guaranteed", "-997" if caps >> 24 & 1 else own), p["status"])
    n.delete("sure")


@test
def a_resize_changes_the_cgroup_of_the_running_container(n):
    n.apply(make("size", "exec sleep 1000", {"resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}}}))
    p = n.running("size")
    uid, pid = p["metadata"]["uid"], main_pid(n, p["metadata"]["uid"])
    check(cgroup_limit(uid) == str(64 << 20), cgroup_limit(uid))
    for mib in (128, 96):
        r = n.k("patch", "pod", "size", "--subresource=resize", "-p", json.dumps({"spec": {"containers": [
            {"name": "c", "resources": {"limits": {"memory": "%dMi" % mib}, "requests": {"memory": "%dMi" % mib}}}]}}))
        check(r.returncode == 0, r.stderr)
        n.wait_pod("size", lambda p: ctr(p)["resources"]["limits"]["memory"] == "%dMi" % mib)
        check(cgroup_limit(uid) == str(mib << 20), cgroup_limit(uid))
    check(main_pid(n, uid) == pid and ctr(n.pod("size"))["restartCount"] == 0, "the container was restarted")
    n.k("patch", "pod", "size", "--subresource=resize", "-p",
        '{"spec":{"containers":[{"name":"c","resources":{"limits":{"memory":"900Ti"},"requests":{"memory":"900Ti"}}}]}}')
    p = n.wait_pod("size", lambda p: any(c["type"] == "PodResizePending" for c in p["status"]["conditions"]))
    c = [c for c in p["status"]["conditions"] if c["type"] == "PodResizePending"][0]
    check(c["reason"] == "Infeasible" and ctr(p)["resources"]["limits"]["memory"] == "96Mi", p["status"])
    n.delete("size")


@test
def a_missing_image_is_told(n):
    n.apply(make("noimg", ["x"], {"image": "coracle.dev/nosuch:v0"}), make("norel", ["x"], {"image": "coracle.dev/x:v9"}))
    for name in ("noimg", "norel"):
        p = n.wait_pod(name, lambda p: ctr(p).get("state", {}).get("waiting", {}).get("reason") in ("ErrImagePull", "ImagePullBackOff"))
        check("release" in ctr(p)["state"]["waiting"]["message"], ctr(p))
        check(any(r == "Failed" for r, _ in n.events(name)), n.events(name))
        n.delete(name)


@test
def a_volume_waits_for_its_config_map_and_follows_it(n):
    n.apply(make("cfg", "exec sleep 1000", {"volumeMounts": [{"name": "v", "mountPath": "/etc/a/b"}]},
                 volumes=[{"name": "v", "configMap": {"name": "cm"}}]))
    wait(lambda: any(r == "FailedMount" and '"cm" not found' in m for r, m in n.events("cfg")), 10, lambda: str(n.events("cfg")))
    n.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"k": "one"}})
    n.running("cfg")
    read = lambda: n.k("exec", "cfg", "--", "cat", "/etc/a/b/k").stdout
    check(read() == "one", read())
    n.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"k": "two"}})
    wait(lambda: read() == "two", 10, read)
    n.delete("cfg")


@test
def a_claim_of_mode_block_is_a_device_of_the_container(n):
    image = n.dir + "/block.img"
    with open(image, "wb") as f:
        f.write(b"on-the-device")
        f.truncate(8 << 20)
    r = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True)
    if r.returncode:
        return  # a host without loop devices, or that has none left
    loop = r.stdout.strip()
    try:
        for name, path in (("blk", loop), ("dir", n.dir)):
            spec = {"accessModes": ["ReadWriteOnce"], "volumeMode": "Block", "storageClassName": name}
            n.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                     "spec": dict(spec, capacity={"storage": "8Mi"}, hostPath={"path": path})},
                    {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
                     "spec": dict(spec, resources={"requests": {"storage": "8Mi"}})},
                    make(name, "head -c 13 /dev/it; echo; echo back | dd of=/dev/it conv=notrunc status=none; head -c 1 %s" % loop,
                         {"securityContext": {"runAsUser": 107, "capabilities": {"drop": ["ALL"]}},
                          "volumeDevices": [{"name": "v", "devicePath": "/dev/it"}]},
                         restartPolicy="Never", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": name}}]))
        n.wait_pod("blk", lambda p: phase(p) in ("Succeeded", "Failed"))
        check(n.logs("blk").startswith("on-the-device\n"), n.logs("blk"))
        check(loop in n.logs("blk") and phase(n.pod("blk")) == "Failed", "the host's own device file is there: " + n.logs("blk"))
        check(open(loop, "rb").read(5) == b"back\n", "nothing was written")
        wait(lambda: any(r == "FailedMount" and "is not a block device" in m for r, m in n.events("dir")), 10, lambda: str(n.events("dir")))
        n.delete("blk")
        n.delete("dir")
    finally:
        subprocess.run(["losetup", "-d", loop])


@test
def a_restricted_container_has_no_rights(n):
    n.apply(make("low", "id -u; id -G; grep -h -e CapEff -e CapBnd -e NoNewPrivs /proc/self/status; touch /x; touch /w/y && echo wrote",
                 {"securityContext": {"runAsUser": 107, "runAsGroup": 107, "allowPrivilegeEscalation": False,
                                      "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
                  "volumeMounts": [{"name": "w", "mountPath": "/w"}]},
                 restartPolicy="Never", securityContext={"fsGroup": 555}, volumes=[{"name": "w", "emptyDir": {}}]))
    n.wait_pod("low", lambda p: phase(p) in ("Succeeded", "Failed"))
    out = n.logs("low")
    check(out.startswith("107\n107 555\n"), out)
    check(out.count("0000000000000000") == 2 and "NoNewPrivs:\t1" in out, out)
    check("Read-only" in out and "wrote" in out, out)
    n.delete("low")


@test
def exec_passes_streams_and_the_exit_code(n):
    n.apply(make("ex", "exec sleep 1000"))
    n.running("ex")
    r = n.k("exec", "-i", "ex", "--", "sh", "-c", "cat; echo err >&2; exit 7", stdin="in\n")
    check(r.returncode == 7 and r.stdout == "in\n" and r.stderr.startswith("err\n"), (r.returncode, r.stdout, r.stderr))
    n.delete("ex")


@test
def logs_tail_and_follow_to_the_end(n):
    n.apply(make("talk", "for i in 1 2 3 4 5; do echo line $i; done; sleep 1; echo last", restartPolicy="Never"))
    n.wait_pod("talk", lambda p: phase(p) == "Running")
    r = n.k("logs", "-f", "--tail=2", "talk")
    check(r.stdout.endswith("line 5\nlast\n"), r.stdout)
    check(n.logs("talk", "--tail=1") == "last\n", n.logs("talk", "--tail=1"))
    check("T" in n.logs("talk", "--tail=1", "--timestamps").split(" ")[0], "timestamp")
    n.delete("talk")


@test
def probes_decide_readiness_and_restart(n):
    n.apply(make("probe", "touch /tmp/ok; exec sleep 1000",
                 {"readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/ok"]}, "periodSeconds": 1, "failureThreshold": 1},
                  "livenessProbe": {"exec": {"command": ["test", "!", "-e", "/tmp/dead"]}, "periodSeconds": 1, "failureThreshold": 1}}))
    n.running("probe")
    n.k("exec", "probe", "--", "rm", "/tmp/ok")
    n.wait_pod("probe", lambda p: not ready(p))
    n.k("exec", "probe", "--", "touch", "/tmp/ok", "/tmp/dead")
    n.wait_pod("probe", lambda p: ctr(p)["restartCount"] == 1 and ready(p))
    check(any(r == "Unhealthy" for r, _ in n.events("probe")), n.events("probe"))
    n.delete("probe")


@test
def a_deployment_behind_a_service_has_endpoints(n):
    c = {"name": "c", "image": IMAGE, "command": ["python3", "-m", "http.server", "8000"], "ports": [{"containerPort": 8000, "name": "h"}],
         "readinessProbe": {"httpGet": {"path": "/", "port": "h"}, "periodSeconds": 1}}
    n.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
             "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {
                 "metadata": {"labels": {"app": "web"}}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [c]}}}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
             "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "h"}]}})
    r = n.k("rollout", "status", "deployment/web", "--timeout=30s")
    check(r.returncode == 0, r.stdout + r.stderr)
    ep = lambda: (n.get("endpoints", "web") or {}).get("subsets") or []
    wait(lambda: sum(len(s.get("addresses", [])) for s in ep()) == 2, 10, lambda: str(ep()))
    check(ep()[0]["ports"][0]["port"] == 8000, ep())
    n.k("delete", "deployment", "web")
    n.k("delete", "service", "web")
    wait(lambda: "web-" not in n.k("get", "pods").stdout, 20, "pods of the deployment go")


@test
def containers_outlive_the_agent(n):
    n.apply(make("stay", "trap 'exit 0' TERM; sleep 1000 & wait"), make("short", "sleep 2; exit 9", restartPolicy="Never"))
    p = n.running("stay")
    n.wait_pod("short", lambda p: phase(p) == "Running")
    pid = main_pid(n, p["metadata"]["uid"])
    n.kill()
    time.sleep(2.5)
    check(os.path.exists("/proc/%d" % pid), "the container died with the agent")
    n.start()
    p = n.running("stay")
    check(main_pid(n, p["metadata"]["uid"]) == pid and ctr(p)["restartCount"] == 0, ctr(p))
    check(ctr(p)["imageID"], "imageID is forgotten")
    p = n.wait_pod("short", lambda p: phase(p) == "Failed")
    check(ctr(p)["state"]["terminated"]["exitCode"] == 9, ctr(p))
    n.delete("short")
    n.delete("stay")


def shim_status(n, uid):
    return open(glob.glob(n.dir + "/pods/%s/c/c/0/status" % uid)[0]).read()


@test
def a_killed_shim_is_replaced_beside_the_running_container(n):
    """kill -9 of a supervisor touches nothing: the same process runs on, its output is still read, its end is still told."""
    n.apply(make("shim", "i=0; while sleep 0.1; do i=$((i+1)); echo line $i; [ -e /tmp/stop ] && exit 3; done"))
    p = n.running("shim")
    uid = p["metadata"]["uid"]
    before = shim_status(n, uid)
    main = re.search(r"^pid (\d+)", before, re.M).group(1)
    os.kill(int(before.split()[1]), signal.SIGKILL)
    wait(lambda: shim_status(n, uid).split()[1] != before.split()[1], 10, "another shim")
    after = shim_status(n, uid)
    check(re.search(r"^pid (\d+)", after, re.M).group(1) == main, after)
    p = n.running("shim")
    check(ctr(p)["restartCount"] == 0 and ready(p), ctr(p))
    last = n.logs("shim", "--tail=1")
    wait(lambda: n.logs("shim", "--tail=1") != last, 10, "its output goes on")
    os.kill(int(main), signal.SIGKILL)
    p = n.wait_pod("shim", lambda p: ctr(p)["restartCount"] == 1 and ready(p))
    check(ctr(p)["lastState"]["terminated"]["exitCode"] == 255, ctr(p))
    n.delete("shim")


@test
def a_pod_deleted_behind_the_agents_back_goes(n):
    n.apply(make("behind", "exec sleep 1000"))
    p = n.running("behind")
    pid = main_pid(n, p["metadata"]["uid"])
    n.k("delete", "pod", "behind", "--grace-period=0", "--force")
    wait(lambda: not os.path.exists("/proc/%d" % pid), 10, "its process")


@test
def deletion_gives_time_to_end_and_leaves_nothing(n):
    n.apply(make("term", "trap 'echo got it; exit 0' TERM; echo up; while :; do sleep 0.1; done", terminationGracePeriodSeconds=20,
                 ctr_extra={"volumeMounts": [{"name": "w", "mountPath": "/w"}]},
                 volumes=[{"name": "w", "emptyDir": {"medium": "Memory"}}]))
    p = n.running("term")
    uid = p["metadata"]["uid"]
    wait(lambda: "up" in n.logs("term"), 5, "its start")
    begun = time.monotonic()
    n.k("delete", "pod", "term")
    check(time.monotonic() - begun < 10, "it took the whole grace")
    wait(lambda: not glob.glob(n.dir + "/pods/*") and not glob.glob(n.dir + "/logs/pods/*"), 10,
         lambda: str(glob.glob(n.dir + "/pods/*")))
    check(uid not in open("/proc/self/mounts").read(), "mounts")
    check(not glob.glob("/sys/fs/cgroup/*/coracle*/pod%s" % uid) + glob.glob("/sys/fs/cgroup/coracle*/pod%s" % uid), "cgroups")
    check(not os.listdir(n.dir + "/run/" + os.listdir(n.dir + "/run")[0]) or uid not in str(os.listdir(n.dir + "/run/" + os.listdir(n.dir + "/run")[0])), "runtime state")


def clean(n):
    """What a failed run may have left: through the program's own way."""
    if os.path.exists(BIN + "/coracle"):
        subprocess.run([BIN + "/coracle", "uninstall", "--yes", "--data-dir", n.dir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=60)


def main():
    tests = [t for t in TESTS if not ONLY or t.__name__ in ONLY]
    print("1..%d" % (len(tests) + 1), flush=True)
    n = Node()
    n.start()
    for i, t in enumerate(tests, 1):
        begun = time.monotonic()
        try:
            t(n)
            print("ok %d - %s # %.1f s" % (i, t.__name__, time.monotonic() - begun), flush=True)
        except Exception as e:
            print("not ok %d - %s\n# %s" % (i, t.__name__, str(e).replace("\n", "\n# ")), flush=True)
            if n.proc.poll() is not None:
                print("# the node ended with %s\n# %s" % (n.proc.returncode, n.tail().replace("\n", "\n# ")), flush=True)
                break
    code = n.stop() if n.proc.poll() is None else n.proc.returncode
    ok = code == 0
    print("%sok %d - the_node_ends_orderly" % ("" if ok else "not ", len(tests) + 1), flush=True)
    if not ok:
        print("# status %s\n# %s" % (code, n.tail().replace("\n", "\n# ")), flush=True)
    clean(n)
    shutil.rmtree(n.dir, ignore_errors=True)


main()
