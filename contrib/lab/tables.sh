# shellcheck shell=bash
# shellcheck disable=SC2034 # most results are variables that the caller reads
#
# tables.sh - private database and directory servers for the laboratory
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
#	lab_tb_freeze NAME; lab_tb_thaw NAME
#	lab_tb_postmap ARGUMENT...
#	lab_stop			stops these servers too

# Besides these, the newest PostgreSQL that Debian offers.
LAB_TB_PACKAGES="mariadb-client-core mariadb-server-core postfix-cdb postfix-ldap postfix-mysql postfix-pcre postfix-pgsql
	postfix-sqlite slapd"

# ---------------------------------------------------------------- packages

# lab_tb_postgresql - the name of the package with PostgreSQL's server
lab_tb_postgresql() {
	apt-cache search --names-only '^postgresql-[0-9]+$' | sort -V | sed -n '$s/ .*//p'
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

# lab_tb_download LOG PACKAGE... - the packages, PostgreSQL, and what they need
lab_tb_download() {
	local log=$1 round

	# shellcheck disable=SC2046 # package names
	lab_download "$@" $(lab_tb_postgresql) || return 1
	for round in 1 2 3; do
		# shellcheck disable=SC2046 # package names
		lab_download "$log" $(lab_tb_libraries) || return 1
	done
}

# lab_tb_fetch CACHE - make the servers available; sets LAB_TB, LAB_TB_LIBRARIES. Called after
# lab_fetch_servers, which looked at whose directory it is.
lab_tb_fetch() {
	local rc=0

	lab_fetch "$1" tables lab_tb_download "$LAB_TB_PACKAGES" || rc=1
	LAB_TB=$LAB_FETCHED
	LAB_TB_LIBRARIES=$(find "$LAB_TB" -name '*.so*' -path '*/lib/*' -printf '%h\n' 2>/dev/null | sort -u |
	    grep -E '/lib/[^/]*-linux-gnu[^/]*$' | paste -sd:)
	return $rc
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
	mail_owner = $LAB_POSTFIX_USER
	setgid_group = $LAB_POSTFIX_GROUP
	END
	for type in cdb ldap mysql pcre pgsql sqlite; do
		printf '%s\t%s\tdict_%s_open%s\n' "$type" "$LAB_TB/usr/lib/postfix/postfix-$type.so" "$type" \
		    "$([[ $type == cdb ]] && echo $'\tmkmap_cdb_open')"
	done >"$dir/dynamicmaps.cf"
}

# lab_tb_postmap ARGUMENT... - Postfix's own answer
lab_tb_postmap() {
	env -i PATH=/usr/bin:/bin LANG=C HOME="$LAB_DIR" MAIL_CONFIG="$LAB_DIR/postfix" \
	    LD_LIBRARY_PATH="$LAB_SERVERS/usr/lib/postfix:$LAB_TB_LIBRARIES" \
	    "$LAB_SERVERS/usr/sbin/postmap" "$@"
}

# ---------------------------------------------------------------- servers

# All of them run as nobody in directories below this one, on unix sockets and loopback, and
# know the user "reader" with this password.
LAB_TB_PASSWORD="it's a \"secret\" \\ of %s"

# lab_tb_place NAME - a directory that nobody else can write to, owned by nobody; sets LAB_TB_DIR
lab_tb_place() {
	LAB_TB_DIR=$LAB_DIR/$1
	mkdir -p "$LAB_TB_DIR" && chown nobody "$LAB_TB_DIR"
}

# lab_tb_become PROGRAM ARGUMENT... - become one of the servers, without root's rights; for lab_serve
lab_tb_become() {
	cd / || return 1
	LD_LIBRARY_PATH=$LAB_TB_LIBRARIES exec setpriv --reuid nobody --regid nogroup --clear-groups "$@"
}

# lab_tb_as_nobody PROGRAM ARGUMENT... - run one of their tools
lab_tb_as_nobody() {
	(lab_tb_become "$@")
}

# lab_tb_is_reachable - may nobody, whom the servers run as, enter the directories above them?
lab_tb_is_reachable() {
	lab_tb_as_nobody test -x "$LAB_TB/usr/sbin/mariadbd"
}

# lab_tb_certificate - certificate.pem and key.pem of 127.0.0.1 in LAB_TB_DIR, made once
lab_tb_certificate() {
	[[ -e $LAB_TB_DIR/key.pem ]] && return 0
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=127.0.0.1 \
	    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -out "$LAB_TB_DIR/certificate.pem" \
	    -keyout "$LAB_TB_DIR/key.pem" 2>/dev/null &&
	    chown nobody "$LAB_TB_DIR/key.pem"
}

# lab_tb_sql_password - the password within quotation marks of SQL
lab_tb_sql_password() {
	local text=${LAB_TB_PASSWORD//\'/\'\'}

	[[ $1 == mysql ]] && text=${text//\\/\\\\}
	printf "'%s'" "$text"
}

# lab_tb_mariadb_share - the directory of MariaDB's messages and tables; newer versions have another name for it
lab_tb_mariadb_share() {
	if [[ -e $LAB_TB/usr/share/mariadb/mariadb_system_tables.sql ]]; then
		echo "$LAB_TB/usr/share/mariadb"
	else
		echo "$LAB_TB/usr/share/mysql"
	fi
}

# lab_tb_make_mariadb SQL - an empty MariaDB with the database "mail", the reader, and what SQL makes
lab_tb_make_mariadb() {
	local share tables

	share=$(lab_tb_mariadb_share)
	tables=${share##*/}_system_tables
	lab_tb_place mariadb && mkdir "$LAB_TB_DIR/data" && chown nobody "$LAB_TB_DIR/data" || return 1
	{
		printf '%s\n' 'CREATE DATABASE mysql;' 'USE mysql;'
		cat "$share/$tables.sql" "$share/${tables}_data.sql"
		printf '%s\n' 'CREATE DATABASE mail CHARACTER SET utf8mb4;' 'USE mail;'
		cat "$1"
		# Whoever makes users in this mode must tell the server first that there are such things.
		echo 'FLUSH PRIVILEGES;'
		echo "CREATE USER reader IDENTIFIED BY $(lab_tb_sql_password mysql);"
		echo 'GRANT SELECT, EXECUTE ON mail.* TO reader;'
		echo 'DELETE FROM mysql.global_priv WHERE User = "";'
	} >"$LAB_TB_DIR/bootstrap.sql"
	lab_tb_as_nobody "$LAB_TB/usr/sbin/mariadbd" --no-defaults --bootstrap --datadir="$LAB_TB_DIR/data" \
	    --lc-messages-dir="$share" --innodb-log-file-size=4M --innodb-buffer-pool-size=8M \
	    <"$LAB_TB_DIR/bootstrap.sql" >"$LAB_DIR/mariadb.log" 2>&1
}

# lab_tb_start_mariadb - run it, on LAB_MARIADB_SOCKET and LAB_MARIADB_PORT
lab_tb_start_mariadb() {
	lab_tb_place mariadb
	LAB_MARIADB_SOCKET=$LAB_TB_DIR/socket
	LAB_MARIADB_PORT=${LAB_MARIADB_PORT:-$(lab_free_port)}
	rm -f "$LAB_MARIADB_SOCKET"
	lab_tb_certificate || return 1
	lab_tb_ready_before=$(lab_tb_ready mariadb)
	lab_serve mariadb lab_tb_become "$LAB_TB/usr/sbin/mariadbd" --no-defaults --datadir="$LAB_TB_DIR/data" \
	    --lc-messages-dir="$(lab_tb_mariadb_share)" --socket="$LAB_MARIADB_SOCKET" --bind-address=127.0.0.1 \
	    --port="$LAB_MARIADB_PORT" --pid-file="$LAB_TB_DIR/pid" --innodb-log-file-size=4M \
	    --innodb-buffer-pool-size=8M --skip-name-resolve --ssl-cert="$LAB_TB_DIR/certificate.pem" \
	    --ssl-key="$LAB_TB_DIR/key.pem" --plugin-dir="$LAB_TB/usr/lib/mysql/plugin"
	lab_up mariadb lab_tb_is_ready mariadb
}

# lab_tb_postgresql_bin - where PostgreSQL's programs are
lab_tb_postgresql_bin() {
	echo "$LAB_TB"/usr/lib/postgresql/*/bin
}

# lab_tb_make_postgresql SQL - the same for PostgreSQL
lab_tb_make_postgresql() {
	local bin

	bin=$(lab_tb_postgresql_bin)
	lab_tb_place postgresql || return 1
	echo root >"$LAB_TB_DIR/root"
	lab_tb_as_nobody "$bin/initdb" -D "$LAB_TB_DIR/data" -U postgres -A scram-sha-256 --no-sync -E UTF8 --locale=C \
	    --pwfile="$LAB_TB_DIR/root" >"$LAB_DIR/postgresql.log" 2>&1 || return 1
	{
		echo "CREATE ROLE reader LOGIN PASSWORD $(lab_tb_sql_password pgsql);"
		cat "$1"
		echo 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;'
	} | sed 's/;$/;\n/' >"$LAB_TB_DIR/make.sql"	# a statement ends at an empty line
	lab_tb_as_nobody "$bin/postgres" --single -j -D "$LAB_TB_DIR/data" postgres \
	    <"$LAB_TB_DIR/make.sql" >>"$LAB_DIR/postgresql.log" 2>&1
}

# lab_tb_start_postgresql - run it, on LAB_POSTGRESQL_PORT and a socket of that number in LAB_POSTGRESQL_DIR
lab_tb_start_postgresql() {
	lab_tb_place postgresql
	LAB_POSTGRESQL_DIR=$LAB_TB_DIR
	LAB_POSTGRESQL_PORT=${LAB_POSTGRESQL_PORT:-$(lab_free_port)}
	lab_tb_ready_before=$(lab_tb_ready postgresql)
	lab_serve postgresql lab_tb_become "$(lab_tb_postgresql_bin)/postgres" -D "$LAB_TB_DIR/data" \
	    -p "$LAB_POSTGRESQL_PORT" -k "$LAB_TB_DIR" -h 127.0.0.1 -F -c shared_buffers=1MB
	lab_up postgresql lab_tb_is_ready postgresql
}

# lab_tb_ready SERVER - how often it has said that it is ready; its socket is there earlier
lab_tb_ready() {
	touch "$LAB_DIR/$1.log"
	grep -cE 'ready (to accept|for) connections' "$LAB_DIR/$1.log"
}

# lab_tb_is_ready SERVER - has it said so since it was last started?
lab_tb_is_ready() {
	(($(lab_tb_ready "$1") > lab_tb_ready_before))
}

# lab_tb_make_slapd LDIF - a directory dc=example with the entries of LDIF; its reader is
# cn=reader,dc=example. Speaks TLS with a certificate for localhost.
lab_tb_make_slapd() {
	local dir

	lab_tb_place slapd || return 1
	dir=$LAB_TB_DIR
	mkdir "$dir/data" && chown nobody "$dir/data" || return 1
	lab_tb_certificate || return 1
	{
		sed "s|/etc/ldap|$LAB_TB/etc/ldap|" <<-END
		include /etc/ldap/schema/core.schema
		include /etc/ldap/schema/cosine.schema
		include /etc/ldap/schema/inetorgperson.schema
		END
		cat <<-END
		modulepath $(echo "$LAB_TB"/usr/lib/ldap)
		moduleload back_mdb
		pidfile $dir/pid
		TLSCertificateFile $dir/certificate.pem
		TLSCertificateKeyFile $dir/key.pem
		database mdb
		maxsize 10485760
		suffix dc=example
		directory $dir/data
		rootdn cn=admin,dc=example
		access to attrs=userPassword by anonymous auth by * none
		access to * by dn.exact=cn=reader,dc=example read by * none
		END
	} >"$dir/slapd.conf"
	lab_tb_as_nobody "$LAB_TB/usr/sbin/slapd" -T add -f "$dir/slapd.conf" -l "$1" >"$LAB_DIR/slapd.log" 2>&1
}

# lab_tb_start_slapd - run it, on LAB_SLAPD_PORT, LAB_SLAPD_TLS_PORT and the socket LAB_SLAPD_SOCKET
lab_tb_start_slapd() {
	lab_tb_place slapd
	LAB_SLAPD_PORT=${LAB_SLAPD_PORT:-$(lab_free_port)}
	LAB_SLAPD_TLS_PORT=${LAB_SLAPD_TLS_PORT:-$(lab_free_port)}
	LAB_SLAPD_SOCKET=$LAB_TB_DIR/socket
	lab_serve slapd lab_tb_become "$LAB_TB/usr/sbin/slapd" -d 0 -f "$LAB_TB_DIR/slapd.conf" \
	    -h "ldap://127.0.0.1:$LAB_SLAPD_PORT ldaps://127.0.0.1:$LAB_SLAPD_TLS_PORT ldapi://${LAB_SLAPD_SOCKET//\//%2F}"
	lab_up slapd lab_listens "$LAB_SLAPD_PORT"
}

# lab_tb_processes NAME - the process of a server and its children
lab_tb_processes() {
	echo "${LAB_PID[$1]}"
	pgrep -P "${LAB_PID[$1]}"
}

# lab_tb_freeze NAME - stop a server without ending it, and wait until it has stopped
lab_tb_freeze() {
	# shellcheck disable=SC2046 # a list of numbers
	kill -STOP $(lab_tb_processes "$1") && lab_wait 10 lab_tb_is_frozen "$1"
}

# lab_tb_is_frozen NAME - does no thread of it run?
lab_tb_is_frozen() {
	local pid

	for pid in $(lab_tb_processes "$1"); do
		[[ -z $(grep -L '^State:.*(stopped)' /proc/"$pid"/task/*/status) ]] || return 1
	done
	return 0
}

# lab_tb_thaw NAME - let it go on
lab_tb_thaw() {
	# shellcheck disable=SC2046 # a list of numbers
	kill -CONT $(lab_tb_processes "$1")
}
