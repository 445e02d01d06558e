# shellcheck shell=bash
# shellcheck disable=SC2034 # results are variables that the caller reads
#
# opendkim.sh - an OpenDKIM for the tests
#
# Sourced after lab.sh. Installing Debian's package would start a service, so
# it is downloaded and unpacked like the lab's other servers, with the
# libraries that nothing else here needs.
#
#	lab_fetch_servers CACHE; lab_od_fetch CACHE
#	lab_od_missing			libraries that this machine lacks, if any
#	lab_od_run ARGUMENT...		become opendkim

LAB_OD_PACKAGES="opendkim libbsd0 libdb5.3|libdb5.3t64 libhashkit2|libhashkit2t64 libldap-2.5-0|libldap2 liblua5.3-0 libmd0
	libmemcached11|libmemcached11t64 libmilter1.0.1 libopendbx1|libopendbx1t64 libopendkim11 librbl1 libvbr2"

# lab_od_fetch CACHE - make OpenDKIM available; sets LAB_OD, LAB_OD_LIBRARIES.
# Called after lab_fetch_servers, which looked at whose directory it is.
lab_od_fetch() {
	local rc=0

	lab_fetch "$1" opendkim lab_download "$LAB_OD_PACKAGES" || rc=1
	LAB_OD=$LAB_FETCHED
	# not all of them lie in one directory
	LAB_OD_LIBRARIES=$(find "$LAB_OD" -name '*.so.*' -printf '%h\n' 2>/dev/null | sort -u | paste -sd:)
	return $rc
}

# lab_od_missing - print the libraries that this machine lacks to run it
lab_od_missing() {
	lab_missing "$LAB_OD_LIBRARIES" "$LAB_OD/usr/sbin/opendkim"
}

# lab_od_run ARGUMENT... - become opendkim
lab_od_run() {
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C LD_LIBRARY_PATH="$LAB_OD_LIBRARIES" \
	    "$LAB_OD/usr/sbin/opendkim" "$@"
}
