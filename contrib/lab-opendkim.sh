# shellcheck shell=bash
# shellcheck disable=SC2034 # results are variables that the caller reads
#
# lab-opendkim.sh - an OpenDKIM for the tests
#
# Sourced after lab.sh. Installing Debian's package would start a service, so
# it is downloaded and unpacked like the lab's other servers, with the
# libraries that nothing else here needs.
#
#	lab_fetch_servers CACHE; lab_od_fetch CACHE
#	lab_od_missing			libraries that this machine lacks, if any
#	lab_od_run ARGUMENT...		become opendkim

LAB_OD_PACKAGES="opendkim libbsd0 libdb5.3 libhashkit2 libldap-2.5-0 liblua5.3-0 libmd0
	libmemcached11 libmilter1.0.1 libopendbx1 libopendkim11 librbl1 libvbr2"

# lab_od_unpack CACHE - download the packages and unpack them
lab_od_unpack() {
	local cache=$1 deb

	rm -rf "$cache/new-opendkim" "$cache/opendkim"
	mkdir -p "$cache/new-opendkim/deb" || return 1
	chown _apt "$cache/new-opendkim/deb" 2>/dev/null
	# shellcheck disable=SC2086 # a list of words
	if ! (cd "$cache/new-opendkim/deb" &&
	    lab_apt "$cache/download-opendkim.log" download $LAB_OD_PACKAGES); then
		lab_say "cannot download the packages of OpenDKIM:" \
		    "$(tail -n 1 "$cache/download-opendkim.log")"
		return 1
	fi
	for deb in "$cache"/new-opendkim/deb/*.deb; do
		dpkg -x "$deb" "$cache/new-opendkim" || return 1
	done
	rm -rf "$cache/new-opendkim/deb"
	chmod 0755 "$cache/new-opendkim"
	printf '%s\n' "$LAB_OD_PACKAGES" >"$cache/new-opendkim/complete"
	mv "$cache/new-opendkim" "$cache/opendkim"
}

# lab_od_fetch CACHE - make OpenDKIM available; sets LAB_OD, LAB_OD_LIBRARIES.
# Called after lab_fetch_servers, which looked at whose directory it is.
lab_od_fetch() {
	local cache rc=0

	cache=$(cd "$1" && pwd -P) || return 1
	exec 9>"$cache/lock" && flock 9 || return 1
	if [[ $(cat "$cache/opendkim/complete" 2>/dev/null) != "$LAB_OD_PACKAGES" ]]; then
		lab_od_unpack "$cache" || rc=1
	fi
	exec 9>&-
	LAB_OD=$cache/opendkim
	# not all of them lie in one directory
	LAB_OD_LIBRARIES=$(find "$LAB_OD" -name '*.so.*' -printf '%h\n' 2>/dev/null | sort -u | paste -sd:)
	return $rc
}

# lab_od_missing - print the libraries that this machine lacks to run it
lab_od_missing() {
	LD_LIBRARY_PATH=$LAB_OD_LIBRARIES ldd "$LAB_OD/usr/sbin/opendkim" |
	    sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p'
}

# lab_od_run ARGUMENT... - become opendkim
lab_od_run() {
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C LD_LIBRARY_PATH="$LAB_OD_LIBRARIES" \
	    "$LAB_OD/usr/sbin/opendkim" "$@"
}
