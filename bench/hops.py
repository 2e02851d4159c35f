#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where the time of one memory change goes, from the patch of the VM to the VMI's guestCurrent.

  bench/hops.py DIR [ROUNDS]     DIR: data directory of a running `coracle up` with a registries.conf for the guest image

Each hop is one API write, seen by a watch: the VMI's spec, its condition, the pod's spec, the pod's status, the VMI's
status. The last hop holds handler, launcher and QEMU; QEMU alone is measured in the same run, round by round.
Never fails: what can not be measured is left out.
"""
import contextlib
import glob
import importlib.machinery
import importlib.util
import json
import os
import re
import statistics
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LOADER = importlib.machinery.SourceFileLoader("bench_run", f"{HERE}/run")
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", LOADER))
LOADER.exec_module(run)

POD = "/api/v1/namespaces/default/pods"
NAME = "hops"


def memory_of(pod, status):
    containers = pod.get("status", {}).get("containerStatuses", []) if status else pod["spec"]["containers"]
    return next((c.get("resources", {}).get("requests", {}).get("memory") for c in containers if c["name"] == "compute"), None)


def same_group(qemu):
    """The bare QEMU into the control group of the VM's, so that a busy machine treats both alike."""
    with contextlib.suppress(OSError, StopIteration):
        vm = next(p for p in glob.glob("/proc/[0-9]*/cmdline")
                  if open(p, "rb").read(300).startswith(b"qemu-system") and f"guest=default_{NAME}".encode() in open(p, "rb").read(600))
        line = next(x for x in open(f"{os.path.dirname(vm)}/cgroup", encoding="utf-8") if re.match(r"\d+:(cpu|cpu,cpuacct):|0::", x))
        path = line.strip().split(":", 2)
        for root in (f"/sys/fs/cgroup/{path[1]}", "/sys/fs/cgroup"):
            if os.path.exists(f"{root}{path[2]}/cgroup.procs"):
                with open(f"{root}{path[2]}/cgroup.procs", "w", encoding="utf-8") as f:
                    f.write(str(qemu.process.pid))
                return True
    return False


def condition(vmi):
    return next((c["status"] for c in vmi.get("status", {}).get("conditions", []) if c["type"] == "HotMemoryChange"), None)


# What is noted of each object; a change of it is a hop
WATCHED = (
    (run.VM, f"fieldSelector=metadata.name%3D{NAME}", {
        "VM": lambda o: o["spec"]["template"]["spec"]["domain"]["memory"]["guest"]}),
    (run.VMI, f"fieldSelector=metadata.name%3D{NAME}", {
        "VMI spec": lambda o: o["spec"]["domain"]["memory"]["guest"],
        "VMI condition": condition,
        "VMI guestCurrent": lambda o: o.get("status", {}).get("memory", {}).get("guestCurrent")}),
    (POD, "labelSelector=kubevirt.io", {
        "pod spec": lambda o: memory_of(o, False),
        "pod status": lambda o: memory_of(o, True)}),
)


class Watch(threading.Thread):
    def __init__(self, api, path, query, facts):
        super().__init__(daemon=True)
        self.facts, self.last, self.seen = facts, {}, []
        self.connection = api.open()
        self.connection.sock.settimeout(600)
        self.connection.request("GET", f"{path}?watch=1&{query}")
        self.start()

    def run(self):
        answer = self.connection.getresponse()
        while line := answer.readline():
            now, o = time.monotonic(), json.loads(line)["object"]
            if o["kind"] == "Pod" and NAME not in o["metadata"]["name"]:
                continue
            self.seen.append((now, "written", o["kind"]))
            for what, get in self.facts.items():
                value = get(o)
                if value != self.last.get(what):
                    self.last[what] = value
                    self.seen.append((now, what, value))


def one_change(api, watches, size):
    for w in watches:
        w.seen.clear()
    began = time.monotonic()
    api.call("PATCH", f"{run.VM}/{NAME}", [{"op": "replace", "path": "/spec/template/spec/domain/memory/guest", "value": size}],
             "application/json-patch+json")
    hops = {"patch answered": time.monotonic() - began}
    vmi = watches[1]
    while vmi.last.get("VMI guestCurrent") != size:
        if time.monotonic() - began > 60:
            raise run.Skip(f"guestCurrent is not {size} after 60 s")
        time.sleep(0.0005)
    time.sleep(0.5)
    for w in watches:
        for at, what, value in w.seen:
            if what == "VMI condition":
                what += " True" if value == "True" else " gone"
            if what != "written":
                hops[what] = at - began
    writes = [k for w in watches for _, what, k in w.seen if what == "written"]
    return hops, {k: writes.count(k) for k in sorted(set(writes))}


def table(title, rounds, bare):
    print(title)
    names = sorted({n for r in rounds for n in r}, key=lambda n: statistics.median(r[n] for r in rounds if n in r))
    before = 0
    for n in names:
        at = statistics.median(r[n] for r in rounds if n in r) * 1000
        print(f"  {n:<24} {at:8.1f} ms   {at - before:+8.1f}")
        before = at
    whole = [r["VMI guestCurrent"] for r in rounds]
    beyond = [w - b for w, b in zip(whole, bare)]
    print(f"  QEMU alone               {statistics.median(bare) * 1000:8.1f} ms   (min {min(bare) * 1000:.1f})")
    print(f"  beyond QEMU, per round   {statistics.median(beyond) * 1000:+8.1f} ms   min {min(beyond) * 1000:+.1f}; budget +20; all "
          + " ".join(f"{b * 1000:+.0f}" for b in beyond), flush=True)


def measure(directory, rounds):
    api = run.Api(f"{directory}/kubeconfig")
    api.call("PATCH", f"{run.KV}/kubevirt", {"spec": {"configuration": {"vmRolloutStrategy": "LiveUpdate", "developerConfiguration": {
        "featureGates": ["VMLiveUpdateFeatures"]}}}}, "application/merge-patch+json")
    api.call("POST", run.VM, {
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": NAME}, "spec": {
            "runStrategy": "Always", "template": {"spec": {
                "domain": {"devices": {"disks": [{"name": "root", "disk": {"bus": "virtio"}}]}, "memory": {"guest": "1Gi"}},
                "volumes": [{"name": "root", "containerDisk": {
                    "image": "registry:5000/kubevirt/alpine-container-disk-demo:devel"}}]}}}})
    qemu = None
    try:
        _, vmi = api.wait(run.VMI, NAME, lambda o: o.get("status", {}).get("phase") == "Running", 120)
        qemu = run.BareQemu()
        console = f"{directory}/kubevirt/vms/{vmi['metadata']['uid']}/console.log"
        until = time.monotonic() + 180
        while b"login:" not in b"".join(open(f, "rb").read() for f in glob.glob(console)):
            if time.monotonic() > until:
                raise run.Skip(f"no login prompt in {console}")
            time.sleep(0.2)
        qemu.booted()
        if not same_group(qemu):
            print("the bare QEMU is not in the control group of the VM's: on a busy machine the two do not compare")
        time.sleep(3)
        watches = [Watch(api, *w) for w in WATCHED]
        time.sleep(1)
        grow, shrink, bare_grow, bare_shrink, writes = [], [], [], [], []
        for _ in range(rounds):
            bare_grow.append(qemu.resize(1 << 30))
            time.sleep(0.5)
            hops, w = one_change(api, watches, "2Gi")
            grow.append(hops)
            writes.append(w)
            time.sleep(1)
            bare_shrink.append(qemu.resize(0))
            time.sleep(0.5)
            shrink.append(one_change(api, watches, "1Gi")[0])
            time.sleep(1)
        table("1Gi -> 2Gi", grow, bare_grow)
        print(f"  events seen by the watches {writes[-1]}")
        table("2Gi -> 1Gi", shrink, bare_shrink)
    finally:
        api.call("DELETE", f"{run.VM}/{NAME}")
        if qemu:
            qemu.end()


def main():
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    try:
        measure(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5)
    except (run.Skip, OSError, ValueError, KeyError) as e:
        print(f"left out: {type(e).__name__}: {e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
