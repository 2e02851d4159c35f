# SPDX-License-Identifier: Apache-2.0
"""An HTTPS server that plays webhook or aggregated API: it records what it is sent and answers as told."""
import copy
import http.server
import json
import os
import ssl
import subprocess
import tempfile
import threading


class Backend:
    """handler(request) -> (status, headers, body); request has method, path, headers, body, peer (client certificate)."""

    def __init__(self, handler, dns, client_ca=None):
        self.dir = tempfile.mkdtemp(prefix="coracle-backend-")
        self.requests = []
        self.handler = handler
        self._certificate(dns)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                n = int(self.headers.get("Content-Length") or 0)
                self.body = self.rfile.read(n)
                self.peer = self.connection.getpeercert()
                outer.requests.append(copy.copy(self))  # the next one on this connection has the same self
                if self.headers.get("Upgrade") == "echo":
                    self.send_response(101)
                    self.send_header("Connection", "Upgrade")
                    self.send_header("Upgrade", "echo")
                    self.end_headers()
                    self.close_connection = True
                    while True:
                        d = self.connection.recv(4096)
                        if not d:
                            return
                        self.connection.sendall(d.upper())
                status, headers, body = outer.handler(self)
                if body is not None and not isinstance(body, bytes):
                    body = json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

            @property
            def method(self):
                return self.command

            def log_message(self, *a):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.dir + "/crt", self.dir + "/key")
        if client_ca:
            tls.load_verify_locations(cadata=client_ca)
            tls.verify_mode = ssl.CERT_OPTIONAL
        self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def _certificate(self, dns):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-keyout", self.dir + "/key", "-out", self.dir + "/crt", "-subj", "/CN=backend",
                        "-addext", "subjectAltName=DNS:" + dns, "-addext", "basicConstraints=critical,CA:TRUE"],
                       check=True, stderr=subprocess.DEVNULL)
        self.ca = open(self.dir + "/crt").read()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        for f in os.listdir(self.dir):
            os.unlink(os.path.join(self.dir, f))
        os.rmdir(self.dir)
