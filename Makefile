# SPDX-License-Identifier: Apache-2.0
#
# The few words to remember; meson does the building, scripts/ the rest.
#
#   make build          programs into build/bin
#   make demo           the walk-through: a VM, and its memory grown while it runs
#   make test           every test there is; last line "N passed, N failed"
#   make guest-image    build/guest: the bootable guest of demo and tests
#   make bench          speed and memory, as ratios
#   make soak           what is too long for make test (docs/testing.md)
#   make fmt            clang-format over the C sources
#   make install        under PREFIX (/usr/local), below DESTDIR if given
#   make clean          removes build/

PREFIX ?= /usr/local
BUILD := build/release
GUEST := build/guest/disk.qcow2
GUEST_ARM64 := build/guest-arm64/disk.qcow2

.PHONY: all build test demo guest-image guest-image-arm64 bench soak fmt install clean

all: build

build:
	@scripts/setup build
	@scripts/build $(BUILD) build/bin

test:
	@scripts/test

demo:
	@scripts/demo

guest-image: $(GUEST)

$(GUEST): $(wildcard guest/build.sh guest/files/* scripts/lib/apt.sh)
	@scripts/setup run demo
	@guest/build.sh

# The same guest for arm64: tests only, and emulated
guest-image-arm64: $(GUEST_ARM64)

$(GUEST_ARM64): $(wildcard guest/build.sh guest/files/* scripts/lib/apt.sh)
	@scripts/setup run demo
	@guest/build.sh --arch arm64

bench: build
	@scripts/setup demo
	@bench/run

soak: build
	@scripts/soak

fmt:
	@find src tests bench -name '*.[ch]' 2>/dev/null | xargs clang-format -i

# All programs in one directory: each finds the others beside itself
install: build
	install -d $(DESTDIR)$(PREFIX)/libexec/coracle $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/coracle
	for p in $$(ls build/bin | grep -v -- '-dev$$'); do \
		install -m 755 build/bin/$$p $(DESTDIR)$(PREFIX)/libexec/coracle/ || exit; \
	done
	for p in coracle virtctl; do \
		ln -sf ../libexec/coracle/$$p $(DESTDIR)$(PREFIX)/bin/$$p; \
	done
	cp -r deploy/examples $(DESTDIR)$(PREFIX)/share/coracle/
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|' deploy/systemd/coracle.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/coracle.service
	for m in docs/man/*.[18]; do \
		install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; \
	done
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/coracle/LICENSE

clean:
	@if [ -e build/registry/pid ]; then scripts/registry stop; fi
	rm -rf build
