#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server dies in every way, under load; the books of its clients must balance (kubernetes-api.md 98, 99, 102). Prints TAP.

    durability.py [ROUNDS [SEED]]     ROUNDS deaths of each kind (20)

DURABILITY_ARGS: more options for the server, such as --store=...; the deaths by power cut are for files only."""
import os
import random
import signal
import subprocess
import sys
import time

import load
from client import Server  # load.py knows where it is

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 1
ARGS = os.environ.get("DURABILITY_ARGS", "").split()
HERE = os.path.dirname(os.path.abspath(__file__))
number = 0


def report(name, trouble, sums):
    global number
    number += 1
    print("%s %d - %s" % ("not ok" if trouble else "ok", number, name))
    print("# " + ", ".join("%d %s" % (v, k) for k, v in sums.items()))
    for line in trouble[:10]:
        print("#   " + line[:1000])
    sys.stdout.flush()
    return not trouble


def preloaded(server, seed):
    """Sets the environment for a server under powercut.c; returns the file of faults."""
    so = os.path.join(server.dir, "powercut.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o", so,
                    os.path.join(HERE, "powercut.c"), "-ldl"], check=True)
    control = os.path.join(server.dir, "control")
    with open(control, "wb") as f:
        f.write(b"\0\0")
    server.env = dict(os.environ, LD_PRELOAD=so, POWERCUT_CONTROL=control, POWERCUT_SEED=str(seed))
    return control


def set_fault(control, fault, percent=100):
    with open(control, "r+b") as f:
        f.write(bytes([ord(fault), percent]))


def killed(name, power):
    r = random.Random(SEED)
    server = Server(ARGS)
    if power:
        server.stop()
        preloaded(server, SEED)
        server.start()
    world = load.World(server.kubeconfig, SEED)
    try:
        for n in range(ROUNDS):
            time.sleep(r.uniform(0.02, 0.3))
            server.proc.send_signal(signal.SIGKILL)
            world.alive.clear()
            server.proc.wait()
            if power:
                server.env["POWERCUT_SEED"] = str(SEED + n)
            server.start()
            world.reach(server.kubeconfig)
            world.check_rv()
            if world.trouble:
                break
        trouble, sums = world.finish(), world.sums()
    finally:
        rc, text = server.remove()
    if rc != 0:
        trouble.append("the server ended with %d: %s" % (rc, text[-1000:]))
    if sums["acknowledged"] < 10 * ROUNDS:
        trouble.append("too few writes to mean anything")
    return report(name, trouble, sums)


def faults():
    """Writes fail while the disk does; reads and watches go on; and it is all right again without a restart (102)."""
    server = Server(ARGS)
    server.stop()
    control = preloaded(server, SEED)
    server.start()
    world = load.World(server.kubeconfig, SEED)
    r = random.Random(SEED)
    try:
        for n in range(ROUNDS):
            fault = "NWHS"[n % 4]
            total = n % 8 < 4
            time.sleep(r.uniform(0.02, 0.1))
            before = world.sums()["refused"]
            set_fault(control, fault, 100 if total else 30)
            if fault == "H":  # the rest is written by another call: nobody notices
                time.sleep(0.1)
                set_fault(control, "\0", 0)
                continue
            end = time.monotonic() + 10
            while world.sums()["refused"] == before and time.monotonic() < end and not world.trouble:
                time.sleep(0.01)
            if world.sums()["refused"] == before:
                world.fail("with fault %s no write failed" % fault)
            if total:
                world.list()
                a = world.client.get("/readyz")
                if a.status != 500:
                    world.fail("/readyz is %d with fault %s" % (a.status, fault))
            set_fault(control, "\0", 0)
            acked = world.sums()["acknowledged"]
            end = time.monotonic() + 10
            while world.sums()["acknowledged"] < acked + 20 and time.monotonic() < end and not world.trouble:
                time.sleep(0.01)
            if world.sums()["acknowledged"] < acked + 20:
                world.fail("writes did not recover after fault %s" % fault)
            if world.client.get("/readyz").status != 200:
                world.fail("/readyz did not recover after fault %s" % fault)
            if n % 5 == 4:  # and what was acknowledged in between survives a power cut
                server.proc.send_signal(signal.SIGKILL)
                world.alive.clear()
                server.proc.wait()
                server.start()
                world.reach(server.kubeconfig)
                world.check_rv()
            if world.trouble:
                break
        trouble, sums = world.finish(), world.sums()
    finally:
        rc, text = server.remove()
    if rc != 0:
        trouble.append("the server ended with %d: %s" % (rc, text[-1000:]))
    return report("disks that are full or fail refuse writes, lose none that was acknowledged, and recover (102)", trouble, sums)


def main():
    fine = killed("%d times kill -9 under load: nothing acknowledged is lost, nothing seen twice (98, 99)" % ROUNDS, False)
    if not ARGS:
        fine &= killed("%d power cuts under load: the same (98)" % ROUNDS, True)
        fine &= faults()
    print("1..%d" % number)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
