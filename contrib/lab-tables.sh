# shellcheck shell=bash
# shellcheck disable=SC2034 # most results are variables that the caller reads
#
# lab-tables.sh - private database and directory servers for the laboratory
#
# Sourced after lab.sh. Lookup tables are tested against the servers that admins
# use, and their answers are compared with those of Postfix's own postmap(1).
# The servers, Postfix's table types and the libraries that this machine lacks
# for them are downloaded and unpacked, never installed.
#
# The order of calls:
#
#	lab_fetch_servers CACHE; lab_tb_fetch CACHE
#	lab_create; lab_tb_postfix
#	lab_tb_start_mariadb; lab_tb_start_postgresql; lab_tb_start_slapd
#	lab_tb_postmap ARGUMENT...
#	lab_stop			stops these servers too

# Besides these, the newest PostgreSQL that Debian offers.
LAB_TB_PACKAGES="mariadb-client-core mariadb-server-core postfix-ldap postfix-mysql postfix-pcre postfix-pgsql
	postfix-sqlite slapd"

# ---------------------------------------------------------------- packages

# lab_tb_postgresql - the name of the package with PostgreSQL's server
lab_tb_postgresql() {
	apt-cache search --names-only '^postgresql-[0-9]+$' | sort -V | sed -n '$s/ .*//p'
}

# lab_tb_download LOG PACKAGE... - into the current directory
lab_tb_download() {
	local log=$1

	shift
	(($# == 0)) || lab_apt "$log" download "$@"
}

# lab_tb_libraries - the libraries that the packages here depend on and this machine lacks. LLVM is
# only for PostgreSQL's compiler of queries, which loads it when it is there.
lab_tb_libraries() {
	local name

	# shellcheck disable=SC2046 # package names
	for name in $(lab_not_installed $(lab_libraries_of ./*.deb) | grep -v '^libllvm'); do
		compgen -G "./${name}_*.deb" >/dev/null || printf '%s\n' "$name"
	done
}

# lab_tb_unpack CACHE - download the packages and unpack them
lab_tb_unpack() {
	local cache=$1 new=$1/new-tables deb round

	rm -rf "$new" "$cache/tables"
	mkdir -p "$new/deb" || return 1
	chown _apt "$new/deb" 2>/dev/null
	# shellcheck disable=SC2046,SC2086 # lists of words
	if ! (cd "$new/deb" && lab_tb_download "$cache/download-tables.log" $LAB_TB_PACKAGES $(lab_tb_postgresql) &&
	    for round in 1 2 3; do
		lab_tb_download "$cache/download-tables.log" $(lab_tb_libraries) || exit 1
	    done); then
		lab_say "cannot download the packages of the database servers:" \
		    "$(tail -n 1 "$cache/download-tables.log")"
		return 1
	fi
	for deb in "$new"/deb/*.deb; do
		dpkg -x "$deb" "$new" || return 1
	done
	rm -rf "$new/deb"
	chmod 0755 "$new"
	printf '%s\n' "$LAB_TB_PACKAGES" >"$new/complete"
	mv "$new" "$cache/tables"
}

# lab_tb_fetch CACHE - make the servers available; sets LAB_TB, LAB_TB_LIBRARIES. Called after
# lab_fetch_servers, which looked at whose directory it is.
lab_tb_fetch() {
	local cache rc=0

	cache=$(cd "$1" && pwd -P) || return 1
	exec 9>"$cache/lock" && flock 9 || return 1
	if [[ $(cat "$cache/tables/complete" 2>/dev/null) != "$LAB_TB_PACKAGES" ]]; then
		lab_tb_unpack "$cache" || rc=1
	fi
	exec 9>&-
	LAB_TB=$cache/tables
	LAB_TB_LIBRARIES=$(find "$LAB_TB" -name '*.so*' -path '*/lib/*' -printf '%h\n' 2>/dev/null | sort -u |
	    grep -E '/lib/[^/]*-linux-gnu[^/]*$' | paste -sd:)
	return $rc
}

# lab_tb_run PROGRAM ARGUMENT... - one of these servers or their tools
lab_tb_run() {
	LD_LIBRARY_PATH=$LAB_TB_LIBRARIES exec "$@"
}

# ---------------------------------------------------------------- Postfix

# lab_tb_postfix - a main.cf that postmap can use, with the table types of Debian
lab_tb_postfix() {
	local dir=$LAB_DIR/postfix type

	mkdir -p "$dir" || return 1
	cat >"$dir/main.cf" <<-END
	compatibility_level = 3.6
	config_directory = $dir
	meta_directory = $dir
	shlib_directory = $LAB_SERVERS/usr/lib/postfix
	daemon_directory = $LAB_SERVERS/usr/lib/postfix/sbin
	command_directory = $LAB_SERVERS/usr/sbin
	END
	for type in ldap mysql pcre pgsql sqlite; do
		printf '%s\t%s\tdict_%s_open\n' "$type" "$LAB_TB/usr/lib/postfix/postfix-$type.so" "$type"
	done >"$dir/dynamicmaps.cf"
}

# lab_tb_postmap ARGUMENT... - Postfix's own answer
lab_tb_postmap() {
	env -i PATH=/usr/bin:/bin LANG=C HOME="$LAB_DIR" MAIL_CONFIG="$LAB_DIR/postfix" \
	    LD_LIBRARY_PATH="$LAB_SERVERS/usr/lib/postfix:$LAB_TB_LIBRARIES" \
	    "$LAB_SERVERS/usr/sbin/postmap" "$@"
}
