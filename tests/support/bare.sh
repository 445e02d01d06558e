#!/bin/bash
#
# bare.sh - a bare Debian in a directory, for tests that install there as an administrator would
#
# To be sourced by a test that is in tests/, with the test's arguments. It skips the test if no
# Debian can be made, and starts it again in a mount namespace of its own. It sets srcdir and build;
# dir, a directory that is removed at the end; cache, where the Debian and the packages it downloads
# are kept ($COUNTERSIGN_LAB_CACHE); and n, the assertions so far. The test sets release.

srcdir=$(cd "${srcdir:-$(dirname "$0")/..}" && pwd)
# shellcheck source=contrib/lab/lab.sh
. "$srcdir/contrib/lab/lab.sh"
build=$(cd "${top_builddir:-.}" && pwd)
mirror=http://deb.debian.org/debian
n=0

# skip REASON - nothing can be tested here; exits
skip() {
	echo "1..0 # SKIP $*"
	exit 0
}

((EUID == 0)) || skip "a Debian can be made by root only"
for tool in debootstrap unshare; do
	command -v "$tool" >/dev/null || skip "not installed: $tool (contrib/run-tests installs it)"
done
if [[ ${COUNTERSIGN_PLACES:-} != yes ]]; then
	unshare --mount true 2>/dev/null || skip "namespaces cannot be made here"
	COUNTERSIGN_PLACES=yes exec unshare --mount --propagation private bash "$0" "$@"
fi
cache=${COUNTERSIGN_LAB_CACHE:-$build/lab-servers}
mkdir -p "$cache" && dir=$(mktemp -d) || exit 1
# in memory, if there is plenty: dpkg waits for the disk after each package
if (($(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) > 6000000)); then
	mount -t tmpfs -o mode=0755 tmpfs "$dir" || exit 1
fi
# keep_packages - what was downloaded, for the next test
keep_packages() {
	local package release kept

	for package in "$dir"/*/var/cache/apt/archives/*.deb; do
		release=${package#"$dir/"}
		kept=$cache/bare-${release%%/*}-packages/${package##*/}
		[[ ! -e $package || -e $kept ]] || { cp "$package" "$kept.$$" && mv "$kept.$$" "$kept"; }
	done
}
# all that is mounted goes with the namespace; nothing may be removed through it
finish() {
	local at

	keep_packages
	while read -r at; do
		umount -l "$at" 2>/dev/null
	done < <(awk -v d="$dir/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r)
	umount "$dir" 2>/dev/null
	grep -q " $dir" /proc/mounts || rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# ok SENTENCE COMMAND... - one assertion
ok() {
	local sentence=$1

	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $release: $sentence"
	else
		echo "not ok $n - $release: $sentence"
		tail -n 30 "$dir/said" | cut -c 1-300 | sed 's/^/# /'
	fi
}
said() { grep -qE -e "$1" "$dir/said"; }

# inside COMMAND... - run it in the Debian, in the source, with what a root's shell has there. No
# systemd runs there: systemctl enables, and leaves the starting to as_service.
inside() {
	chroot "$root" /usr/bin/env -i SYSTEMD_OFFLINE=1 HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
	    MAKEFLAGS="-j$(nproc)" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	    bash -c 'cd /root/countersign && eval "$1"' bash "$*" >"$dir/said" 2>&1 </dev/null
}

# debian RELEASE - make $root, from the cache if it is there
debian() {
	local kept=$cache/bare-$1.tar

	root=$dir/$1
	if [[ ! -s $kept ]]; then
		# every Debian that is installed, and not made by debootstrap, has these
		debootstrap --variant=minbase --include=adduser,iproute2,systemd "$1" "$dir/new" "$mirror" \
		    >"$dir/said" 2>&1 &&
		    tar -C "$dir/new" -c -f "$kept.$$" --exclude='./var/cache/apt/archives/*.deb' . &&
		    mv "$kept.$$" "$kept" || { tail -n 5 "$dir/said" >&2; rm -rf "$dir/new" "$kept.$$"; return 1; }
		rm -rf "$dir/new"
	fi
	mkdir -p "$root" "$cache/bare-$1-packages" && tar -C "$root" -x -f "$kept" &&
	    mount --rbind /proc "$root/proc" || return 1
	# a copy: apt locks its directory, and two tests may be here at once
	find "$cache/bare-$1-packages" -maxdepth 1 -name '*.deb' \
	    -exec cp -t "$root/var/cache/apt/archives" {} +
	cp /etc/resolv.conf "$root/etc/"
	# as one who answers yes would; and no waiting for the disk
	printf '%s\n' 'APT::Get::Assume-Yes "true";' 'APT::Install-Recommends "false";' \
	    'APT::Keep-Downloaded-Packages "true";' 'APT::Sandbox::User "root";' >"$root/etc/apt/apt.conf.d/90test"
	printf 'force-unsafe-io\n' >"$root/etc/dpkg/dpkg.cfg.d/90test"
	# nothing may start there: it would be seen outside
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod 0755 "$root/usr/sbin/policy-rc.d"
	lab_copy_source "$root/root/countersign"
}

# is PATH OWNER GROUP MODE - names are those of the Debian
is() {
	local uid gid

	uid=$(sed -n "s/^$2:[^:]*:\([0-9]*\):.*/\1/p" "$root/etc/passwd")
	gid=$(sed -n "s/^$3:[^:]*:\([0-9]*\):.*/\1/p" "$root/etc/group")
	stat -c '%u:%g %a %n' $root$1 >"$dir/said"
	[[ $(stat -c '%u:%g %a' $root$1) == "$uid:$gid $4" ]]
}
