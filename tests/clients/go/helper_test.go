// SPDX-License-Identifier: Apache-2.0

// Package clients tries the server with client-go and controller-runtime, as programs use them. The server is
// the one that KUBECONFIG names; tests that restart a server start one of their own from $CORACLE.
package clients

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/go-logr/logr"
)

const patience = 30 * time.Second

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

func loadConfig(t *testing.T, path string) *rest.Config {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	must(t, err)
	cfg.QPS = -1
	return cfg
}

// config is the administrator's, speaking JSON.
func config(t *testing.T) *rest.Config {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Fatal("KUBECONFIG names no server")
	}
	return loadConfig(t, path)
}

func protobufConfig(t *testing.T) *rest.Config {
	cfg := config(t)
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return cfg
}

func clientset(t *testing.T) *kubernetes.Clientset {
	return kubernetes.NewForConfigOrDie(config(t))
}

func ctxOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	return ctx
}

// namespace makes one for a test and asks for its deletion when the test ends.
func namespace(t *testing.T, k kubernetes.Interface) string {
	t.Helper()
	ns, err := k.CoreV1().Namespaces().Create(ctxOf(t),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "go-"}}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() {
		_ = k.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{})
	})
	return ns.Name
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func wantReason(t *testing.T, err error, reason metav1.StatusReason) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", reason)
	}
	if got := apierrors.ReasonForError(err); got != reason {
		t.Fatalf("got %q (%v), want %s", got, err, reason)
	}
}

// eventually waits until ok says so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not in %s: %s", patience, what)
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
}

// wire is what a client asked for, seen below client-go.
type wire struct {
	mu       sync.Mutex
	requests []string
	next     http.RoundTripper
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.requests = append(w.requests, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Content-Type"))
	w.mu.Unlock()
	return w.next.RoundTrip(r)
}

// count says how many requests held every part so far.
func (w *wire) count(parts ...string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
next:
	for _, r := range w.requests {
		for _, p := range parts {
			if absent, isNot := strings.CutPrefix(p, "!"); isNot == strings.Contains(r, absent) {
				continue next
			}
		}
		n++
	}
	return n
}

func (w *wire) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.requests, "\n")
}

func watchWire(cfg *rest.Config) *wire {
	w := &wire{}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		w.next = next
		return w
	})
	return w
}

// server is one of the test's own, to be stopped and started again.
type server struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	bin string
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), bin: os.Getenv("CORACLE")}
	if s.bin == "" {
		t.Skip("CORACLE names no server program")
	}
	s.start("0")
	t.Cleanup(s.stop)
	return s
}

func (s *server) kubeconfig() string { return filepath.Join(s.dir, "kubeconfig") }

func (s *server) start(port string) {
	s.t.Helper()
	cmd := exec.Command(s.bin, "server", "--bare", "--data-dir", s.dir, "--port", port)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StderrPipe()
	must(s.t, err)
	cmd.Stdout = cmd.Stderr
	must(s.t, cmd.Start())
	s.cmd = cmd
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "API server answers") {
				ready <- true
			}
		}
		close(ready)
	}()
	select {
	case ok := <-ready:
		if !ok {
			s.t.Fatal("the server ended before it answered")
		}
	case <-time.After(patience):
		s.t.Fatal("the server did not answer")
	}
}

func (s *server) port() string {
	cfg := loadConfig(s.t, s.kubeconfig())
	return cfg.Host[strings.LastIndex(cfg.Host, ":")+1:]
}

func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			s.t.Errorf("the server ended with %v", err)
		}
	case <-time.After(patience):
		s.t.Error("the server did not end")
		_ = s.cmd.Process.Kill()
		<-done
	}
	s.cmd = nil
}

// forgetHistory does to a stopped server's file what five minutes and a compaction do: no change is known any more.
func (s *server) forgetHistory() {
	s.t.Helper()
	out, err := exec.Command("python3", "-c", `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
upto = db.execute("SELECT max(rev) FROM changes").fetchone()[0] - 1
db.execute("DELETE FROM changes WHERE rev IN (SELECT prev FROM changes WHERE rev <= ? AND prev > 0)", (upto,))
db.execute("DELETE FROM changes WHERE rev <= ? AND deleted", (upto,))
db.execute("UPDATE meta SET value = ? WHERE name = 'compact_rev'", (upto,))
db.commit()`, filepath.Join(s.dir, "state.db")).CombinedOutput()
	if err != nil {
		s.t.Fatal(fmt.Errorf("%w: %s", err, out))
	}
}
