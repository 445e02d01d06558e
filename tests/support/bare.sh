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
		release=${release%%[-/]*}
		kept=$cache/bare-$release-packages/${package##*/}
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

# debian RELEASE [NAME] - make $root, from the cache if it is there; a NAME begins with the release
debian() {
	local kept=$cache/bare-$1.tar

	root=$dir/${2:-$1}
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

# --- the package

# build_needs [ARCHITECTURE] - what control says that is needed to build the packages (for another
# architecture), and the source for anyone
build_needs() {
	inside "${1:+dpkg --add-architecture $1 &&} apt-get update -q &&
	    apt-get install -q build-essential ${1:+crossbuild-essential-$1} && mkdir /srv/depends &&
	    ln -s /root/countersign/contrib/debian /srv/depends/debian &&
	    apt-get build-dep -q ${1:+-a $1} -P nocheck${1:+,cross} /srv/depends &&
	    cp -R /root/countersign /srv/source && chmod -R go+rX /srv/source"
}

# build_deb DIRECTORY [OPTION...] - the packages, as an unprivileged user without a network
build_deb() {
	inside "install -d -o nobody /srv/$1 && unshare --net setpriv --reuid=nobody --regid=nogroup --clear-groups \
	    env HOME=/nonexistent TMPDIR=/srv/$1 /srv/source/contrib/make-deb --nocheck --output /srv/$*"
}

# package_place RELEASE - sets deb: where the package of this source is kept; no other test builds it
# for the release until package_done
package_place() {
	[[ -d $dir/source ]] || lab_copy_source "$dir/source" || return 1
	# tests are not in it
	deb=$cache/bare-$1-$( (cd "$dir/source" && find . -path ./tests -prune -o -type f -print0 | LC_ALL=C sort -z |
	    xargs -0 sha256sum) | sha256sum | cut -c 1-16).deb
	exec 8>"$cache/bare-$1.lock" && flock 8
}
# package_keep DIRECTORY - the package that was built there, in place of older ones
package_keep() {
	rm -f "${deb%-*}"-*.deb
	cp "$root/srv/$1"/countersign_*.deb "$deb.$$" && mv "$deb.$$" "$deb"
}
package_done() { exec 8>&-; }

# package RELEASE - the package of this source for the release in $deb, built if it is not kept
package() {
	local status=0

	package_place "$1" || return 1
	if [[ ! -s $deb ]]; then
		debian "$1" "$1-build" && build_needs && build_deb first && package_keep first || status=1
	fi
	package_done
	return $status
}
