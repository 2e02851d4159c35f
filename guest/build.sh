#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the test guest from Debian packages: a disk that boots through firmware to a login on the
# serial console, and the OCI images the tests and the demo serve from a registry on loopback.
# The same packages give the same bytes, whoever builds and when (qemu.md 14 and 16.58).
#
#   guest/build.sh [--arch ARCH] [--out DIR]      default amd64, build/guest; arm64, build/guest-arm64
#
# Leaves in DIR: disk.qcow2, oci/ (an OCI layout), digest (manifest digest per tag), debs/ (the packages
# it came from). Tags for amd64: guest, no-disk, empty-disk and not-a-disk; for arm64: guest-arm64.
# The arm64 guest is put together on amd64: nothing of it runs here, its firmware is UEFI.
# Packages are unpacked, never installed: no kernel and no busybox of ours ends up on the host.
set -euo pipefail

TOP=$(cd "$(dirname "$0")/.." && pwd)
. "$TOP/scripts/lib/say.sh"
. "$TOP/scripts/lib/apt.sh"

ARCH=amd64 OUT=''
while [ $# -gt 1 ]; do
	case $1 in
	--arch) ARCH=$2 ;;
	--out) OUT=$2 ;;
	*) break ;;
	esac
	shift 2
done
case $ARCH:$# in
amd64:0) OUT=${OUT:-$TOP/build/guest} TAGS='guest no-disk empty-disk not-a-disk' TTY=ttyS0 ;;
arm64:0) OUT=${OUT:-$TOP/build/guest-arm64} TAGS=guest-arm64 TTY=ttyAMA0 ;;
*) die "usage: guest/build.sh [--arch amd64|arm64] [--out DIR]" ;;
esac
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)

# Every tool that stamps a time into its output is told this one; mtools would take the local one
export SOURCE_DATE_EPOCH=315532800 TZ=UTC LC_ALL=C
umask 022

SUITE=${GUEST_SUITE:-$(own_suite)}
DEBS=${GUEST_DEBS:-$OUT/debs}/$SUITE
MODULES='virtio_pci virtio_console virtio_mem virtio_blk virtio_net virtio_scsi sd_mod sr_mod
	virtio_balloon virtio-rng button evdev isofs vfat nls_cp437 nls_ascii nls_iso8859-1'
CMDLINE="console=$TTY quiet panic=-1 cryptomgr.notests mitigations=off memhp_default_state=online_movable"
DISK_SECTORS=65536 # 32 MiB
PART_START=2048

case $(dpkg --print-architecture) in
amd64) ;;
*) die "the test guests are built on amd64 only" "the boot loader (syslinux) of one exists there only" ;;
esac
missing=
for tool in cpio depmod mcopy mkfs.vfat sfdisk qemu-img umoci xz; do
	command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ -z "$missing" ] || die "missing:$missing" "run: scripts/setup run"

# One builder at a time: they would share the package directory and the result
exec 9>"$OUT/.lock"
flock 9

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

fetch_packages() {
	local meta=linux-image-cloud-$ARCH kernel loader='syslinux syslinux-common'
	if [ -e "$DEBS/complete" ] && [ -z "$(find "$DEBS/complete" -mtime +30)" ]; then
		note "packages of $SUITE from $DEBS"
		return
	fi
	say "Fetching kernel, busybox and boot loader of $SUITE for $ARCH (about 30 MB)"
	rm -rf "$DEBS"
	apt_arch "$ARCH"
	[ "$ARCH" = amd64 ] || loader=systemd-boot-efi
	apt_have_lists "$SUITE" || apt_update "$SUITE"
	kernel=$(apt_in "$SUITE" apt-cache depends "$meta" |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	[ -n "$kernel" ] || die "$meta names no kernel" "apt-cache depends $meta"
	# shellcheck disable=SC2086 # names
	apt_fetch "$SUITE" "$DEBS" "$kernel" busybox-static $loader
	date -u >"$DEBS/complete"
}

unpack_packages() {
	local deb
	mkdir -p "$WORK/root"
	for deb in "$DEBS"/*.deb; do
		dpkg -x "$deb" "$WORK/root"
	done
	KERNEL=$(echo "$WORK"/root/boot/vmlinuz-*)
	KV=${KERNEL##*/vmlinuz-}
	# Newer releases ship /usr/lib/modules, and modules that only a full insmod can unpack
	if [ ! -e "$WORK/root/lib" ]; then ln -s usr/lib "$WORK/root/lib"; fi
	find "$WORK/root/lib/modules/$KV/" -name '*.ko.xz' -exec xz -d {} +
	depmod -b "$WORK/root" "$KV"
}

make_initramfs() {
	local fs=$WORK/initramfs m path busybox
	mkdir -p "$fs"/{bin,sbin,dev,proc,sys,run,root,tmp,etc/acpi/PWRF,lib/modules}
	busybox=$WORK/root/bin/busybox
	[ -e "$busybox" ] || busybox=$WORK/root/usr/bin/busybox
	cp "$busybox" "$fs/bin/busybox"
	: >"$fs/lib/modules/order"
	for m in $MODULES; do
		modprobe -C /dev/null --show-depends -d "$WORK/root" -S "$KV" "$m"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r path; do
		cp "$path" "$fs/lib/modules/"
		echo "${path##*/}" >>"$fs/lib/modules/order"
	done
	grep -q '^virtio_mem.ko$' "$fs/lib/modules/order" || die "kernel $KV has no virtio_mem module"

	install -m 755 "$TOP/guest/files/init" "$fs/init"
	install -m 755 "$TOP"/guest/files/{hotplug,report,agent,udhcpc.script} "$fs/bin/"
	install -m 755 "$TOP/guest/files/shutdown" "$fs/sbin/shutdown"
	echo 'root::0:0:root:/root:/bin/sh' >"$fs/etc/passwd"
	echo 'root:x:0:' >"$fs/etc/group"
	echo 'root::19000:0:99999:7:::' >"$fs/etc/shadow"
	printf 'ttyS0\nttyAMA0\n' >"$fs/etc/securetty"
	echo coracle-guest >"$fs/etc/hostname"
	printf '#!/bin/sh\npoweroff -f\n' >"$fs/etc/acpi/PWRF/00000080"
	chmod 755 "$fs/etc/acpi/PWRF/00000080"

	(
		cd "$fs"
		find . -exec touch -h -d @0 {} +
		find . -print0 | sort -z |
			cpio --null -o -H newc --quiet --reproducible -R 0:0 | gzip -9n
	) >"$WORK/initrd"
}

# Firmware -> systemd-boot -> kernel, all in one EFI system partition
make_uefi_disk() {
	local raw=$WORK/disk.raw start=2048 sectors=131072 f at loader
	loader=$(echo "$WORK"/root/usr/lib/systemd/boot/efi/systemd-boot*.efi)
	truncate -s $(((start + sectors + 2048) * 512)) "$raw"
	printf 'label: gpt\nlabel-id: 00C0AC1E-0000-4000-8000-000000000001\nstart=%d, size=%d, type=uefi, uuid=%s\n' \
		$start $sectors 00C0AC1E-0000-4000-8000-000000000002 | sfdisk -q "$raw"
	mkfs.vfat --invariant -F 16 -n CORACLE -i 00c0ac1e --offset $start "$raw" $((sectors / 2)) >/dev/null 2>&1
	printf 'timeout 0\ndefault l.conf\neditor no\n' >"$WORK/loader.conf"
	printf 'title coracle\nlinux /vmlinuz\ninitrd /initrd\noptions %s\n' "$CMDLINE" >"$WORK/l.conf"
	at=$raw@@$((start * 512))
	cp "$KERNEL" "$WORK/vmlinuz"
	cp "$loader" "$WORK/BOOTAA64.EFI"
	touch -d "@$SOURCE_DATE_EPOCH" "$WORK"/{vmlinuz,initrd,loader.conf,l.conf,BOOTAA64.EFI}
	mmd -i "$at" ::/EFI ::/EFI/BOOT ::/loader ::/loader/entries
	for f in BOOTAA64.EFI:EFI/BOOT loader.conf:loader l.conf:loader/entries vmlinuz: initrd:; do
		mcopy -m -i "$at" "$WORK/${f%%:*}" "::/${f#*:}/${f%%:*}"
	done
	qemu-img convert -c -f raw -O qcow2 "$raw" "$WORK/disk.qcow2"
}

make_disk() {
	local raw=$WORK/disk.raw f tree=$WORK/root
	if [ "$ARCH" != amd64 ]; then
		make_uefi_disk
		return
	fi
	local mbr=$tree/usr/lib/syslinux/mbr/mbr.bin syslinux=$tree/usr/bin/syslinux
	truncate -s $((DISK_SECTORS * 512)) "$raw"
	printf 'label: dos\nlabel-id: 0x00c0ac1e\nstart=%d, type=e, bootable\n' $PART_START |
		sfdisk -q "$raw"
	dd if="$mbr" of="$raw" bs=440 count=1 conv=notrunc status=none
	mkfs.vfat --invariant -F 16 -n CORACLE -i 00c0ac1e --offset $PART_START "$raw" \
		$(((DISK_SECTORS - PART_START) / 2)) >/dev/null
	cp "$KERNEL" "$WORK/vmlinuz"
	printf 'DEFAULT l\nPROMPT 0\nTIMEOUT 0\nSERIAL 0 115200\nLABEL l\n LINUX /vmlinuz\n INITRD /initrd\n APPEND %s\n' \
		"$CMDLINE" >"$WORK/syslinux.cfg"
	for f in vmlinuz initrd syslinux.cfg; do
		touch -d "@$SOURCE_DATE_EPOCH" "$WORK/$f"
		mcopy -m -i "$raw@@$((PART_START * 512))" "$WORK/$f" "::/$f"
	done
	"$syslinux" --install -t $((PART_START * 512)) "$raw"
	qemu-img convert -f raw -O qcow2 "$raw" "$WORK/disk.qcow2"
}

# add_image TAG DIR: DIR's content becomes the one layer of image TAG
add_image() {
	local tag=$1 dir=$2 epoch=1970-01-01T00:00:00Z
	# shellcheck disable=SC2046 # names of ours, without spaces
	tar -C "$dir" --sort=name --mtime=@0 --owner=107 --group=107 --numeric-owner \
		--mode='u=rwX,go=rX' --format=ustar -cf "$WORK/$tag.tar" \
		$(ls "$dir")
	umoci --log=error new --image "$WORK/oci:$tag"
	umoci --log=error raw add-layer --image "$WORK/oci:$tag" --history.created $epoch \
		--history.created_by "coracle test guest" "$WORK/$tag.tar"
	umoci --log=error config --image "$WORK/oci:$tag" --no-history --created $epoch \
		--architecture "$ARCH" --os linux
}

make_images() {
	local tag
	umoci --log=error init --layout "$WORK/oci"
	mkdir -p "$WORK"/img/{guest/disk,guest-arm64/disk,no-disk/etc,empty-disk/disk,not-a-disk/disk}
	cp "$WORK/disk.qcow2" "$WORK/img/${TAGS%% *}/disk/"
	# What a user gets wrong: an image of some program, a directory left empty, a file that is no disk
	echo 'This image holds no disk.' >"$WORK/img/no-disk/etc/motd"
	printf 'QFI\373 but not for long\n' >"$WORK/img/not-a-disk/disk/disk.qcow2"
	for tag in $TAGS; do
		add_image "$tag" "$WORK/img/$tag"
	done
	umoci --log=error gc --layout "$WORK/oci"
	for tag in $TAGS; do
		skopeo inspect --format '{{.Digest}}' "oci:$WORK/oci:$tag" | sed "s/^/$tag /"
	done >"$WORK/digest"
}

fetch_packages
say "Building the test guest for $ARCH"
unpack_packages
note "kernel $KV"
make_initramfs
make_disk
make_images
rm -rf "$OUT/oci"
cp -a "$WORK/oci" "$OUT/oci"
cp "$WORK/disk.qcow2" "$WORK/digest" "$OUT/"
note "$OUT/disk.qcow2 ($(du -h "$OUT/disk.qcow2" | cut -f1)), kernel $KV"
note "$OUT/oci, $(sed -n "s/^${TAGS%% *} //p" "$OUT/digest")"
