#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""with_cluster.py COMMAND...: runs it with servers (tests/api/client.py) that keep their objects in an etcd of three members;
each server has a prefix of its own."""
import os
import subprocess
import sys

from cluster import Cluster

cluster = Cluster()
try:
    args = " ".join(cluster.options() + ["--etcd-prefix=/@"])
    status = subprocess.run(sys.argv[1:], env=dict(os.environ, APISERVER_ARGS=args), check=False).returncode
finally:
    cluster.remove()
sys.exit(status)
