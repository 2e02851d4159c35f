/* SPDX-License-Identifier: Apache-2.0 */
/* The guest of the probe: a counting loop in 64-bit long mode, entered directly. A one-instruction real-mode guest
 * passes on hosts that merely interpret (qemu.md 1). */
#include "qemu/accel.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __x86_64__
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define GUEST_MEM (2u << 20)
#define CODE 0x1000
#define PML4 0x2000
#define PDPT 0x3000
#define PD 0x4000
#define TSS_ADDR 0xfffbd000ul
#define CPUID_ENTRIES 100
#define TICK_MS 50 /* an interpreter is stopped here: enough to count how slow it is */

static void on_tick(int sig)
{
	(void)sig;
}

static void arm_tick(void)
{
	struct sigaction sa = { .sa_handler = on_tick }; /* no SA_RESTART: KVM_RUN must come back */
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct itimerspec when = { .it_value.tv_nsec = TICK_MS * 1000000l };
	timer_t t;

	sigaction(SIGALRM, &sa, NULL);
	if (timer_create(CLOCK_MONOTONIC, &ev, &t) == 0)
		timer_settime(t, 0, &when, NULL);
}

static void load_guest(unsigned char *mem)
{
	static const unsigned char code[] = {
		0xb9, ACCEL_LOOP_COUNT & 0xff, (ACCEL_LOOP_COUNT >> 8) & 0xff,
		(ACCEL_LOOP_COUNT >> 16) & 0xff, 0, /* mov ecx */
		0xff, 0xc9,                         /* L: dec ecx */
		0x75, 0xfc,                         /* jnz L */
		0x66, 0xba, 0xf8, 0x03,             /* mov dx,0x3f8 */
		0xb0, 'K',                          /* mov al,'K' */
		0xee,                               /* out dx,al */
		0xf4,                               /* hlt */
	};
	uint64_t pml4 = PDPT | 3, pdpt = PD | 3, pd = 0x83; /* present, writable; one 2 MiB page */

	memcpy(mem + CODE, code, sizeof(code));
	memcpy(mem + PML4, &pml4, 8);
	memcpy(mem + PDPT, &pdpt, 8);
	memcpy(mem + PD, &pd, 8);
}

static int enter_long_mode(int vcpu)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2, .rsp = GUEST_MEM - 16 };
	struct kvm_segment cs = { .base = 0,
		.limit = 0xffffffff,
		.selector = 8,
		.type = 11,
		.present = 1,
		.s = 1,
		.l = 1,
		.g = 1 };
	struct kvm_segment ds = {
		.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	struct kvm_sregs s;

	if (ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
		return -1;
	s.cs = cs;
	s.ds = s.es = s.fs = s.gs = s.ss = ds;
	s.cr3 = PML4;
	s.cr4 |= 1 << 5;                /* PAE */
	s.efer |= (1 << 8) | (1 << 10); /* LME, LMA */
	s.cr0 |= (1u << 31) | 1;        /* PG, PE */
	if (ioctl(vcpu, KVM_SET_SREGS, &s) < 0)
		return -1;
	return ioctl(vcpu, KVM_SET_REGS, &regs);
}

static int make_vcpu(int kvm, int *ret_vcpu, int *ret_run_size)
{
	/* Freed by the end of the process */
	struct kvm_cpuid2 *cpuid =
		mem_zalloc(sizeof(*cpuid) + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2));
	struct kvm_userspace_memory_region slot = { .memory_size = GUEST_MEM };
	void *mem;
	int vm, vcpu;

	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		errno = EPROTO;
		return -1;
	}
	cpuid->nent = CPUID_ENTRIES;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	mem = mmap(NULL, GUEST_MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm < 0 || mem == MAP_FAILED)
		return -1;
	slot.userspace_addr = (uint64_t)(uintptr_t)mem;
	load_guest(mem);
	(void)ioctl(vm, KVM_SET_TSS_ADDR, TSS_ADDR); /* Intel needs it; AMD does not mind */
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return -1;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		return -1;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0 || ioctl(vcpu, KVM_SET_CPUID2, cpuid) < 0)
		return -1;
	*ret_vcpu = vcpu;
	*ret_run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	return enter_long_mode(vcpu);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void run_vcpu(int vcpu, struct kvm_run *run, struct accel_sample *ret)
{
	struct kvm_regs regs = { 0 };
	int64_t start = now_ns();
	int r, sys;

	arm_tick();
	r = ioctl(vcpu, KVM_RUN, 0);
	sys = errno;
	ret->ns = now_ns() - start;
	if (r < 0 && sys != EINTR) {
		ret->step = ACCEL_STEP_RUN;
		ret->sys = sys;
		return;
	}
	ret->exit_reason = r < 0 ? -1 : (int)run->exit_reason;
	if (ioctl(vcpu, KVM_GET_REGS, &regs) == 0 && (regs.rcx & 0xffffffff) <= ACCEL_LOOP_COUNT &&
		regs.rip > CODE)
		ret->done = ACCEL_LOOP_COUNT - (regs.rcx & 0xffffffff);
	if (ret->exit_reason == KVM_EXIT_IO) {
		ret->port = run->io.port;
		ret->value = ((unsigned char *)run)[run->io.data_offset];
	}
}

void accel_measure(const char *path, struct accel_sample *ret)
{
	int kvm = open(path, O_RDWR | O_CLOEXEC), vcpu = -1, run_size = 0;
	struct kvm_run *run;

	memset(ret, 0, sizeof(*ret));
	ret->step = kvm < 0 ? ACCEL_STEP_OPEN : ACCEL_STEP_SETUP;
	ret->sys = errno;
	if (kvm < 0)
		return;
	if (make_vcpu(kvm, &vcpu, &run_size) < 0 || run_size < (int)sizeof(*run)) {
		ret->sys = errno;
		return;
	}
	run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	ret->sys = errno;
	if (run == MAP_FAILED)
		return;
	ret->step = 0;
	run_vcpu(vcpu, run, ret);
}
#else
void accel_measure(const char *path, struct accel_sample *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->step = access(path, R_OK | W_OK) < 0 ? ACCEL_STEP_OPEN : ACCEL_STEP_ARCH;
	ret->sys = errno;
}
#endif
