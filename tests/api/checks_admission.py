# SPDX-License-Identifier: Apache-2.0
"""Admission, access and the fine print of writes, by the numbers of kubernetes-api.md section 8."""
import conformance as c
from conformance import eq, fresh, make, status


def t52c_namespaces_that_stay():
    for name in ("default", "kube-system", "kube-public"):
        a = status(c.k.delete("/api/v1/namespaces/" + name), 403, "Forbidden")
        eq(a["message"], 'namespaces "%s" is forbidden: this namespace may not be deleted' % name)
    name = fresh("ns")
    a = make("/api/v1/namespaces", {"metadata": {"name": name}})
    eq((a["metadata"]["labels"], a["spec"]), ({"kubernetes.io/metadata.name": name}, {"finalizers": ["kubernetes"]}))
    status(c.k.delete("/api/v1/namespaces/" + name), 200)
