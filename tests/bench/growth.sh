# shellcheck shell=bash disable=SC2154
# growth.sh - what one more filter, account or verdict costs the Redis that all share
#
# For tests/bench/bench, after servers.sh. Notes:
#
#	growth/filters/N	N filters at once on one Redis
#	growth/cluster/3	four filters on a Redis Cluster of three
#	growth/accounts/N	one filter, and N accounts whose counts Redis holds
#	growth/verdicts/N	one filter, and N verdicts in the lists of those accounts, which hold the
#			last GROWTH_LIST of each
#
# Accounts and verdicts are copies (DUMP, RESTORE) of what a real message left in Redis, so they
# are laid out as the filter does it today. What does not fit into memory is left out, loudly.

GROWTH_LIST=20	# BOOKS_PER_ACCOUNT

# growth_used PROCESS - its CPU time so far, in microseconds
growth_used() {
	"$LAB_BUILD/tests/bench/use" "$1" | cut -d ' ' -f 2
}

# growth_cli ARGUMENT... - redis-cli, which says what it has to say
growth_cli() {
	"$LAB_SERVERS/usr/bin/redis-cli" "$@"
}

# growth_run NAME FILTERS... - the same load on each of these filters at once; Redis is
# GROWTH_REDIS, a list of processes
growth_run() {
	local name=$1 filter process start end n pids=() before=() after=()
	local each line out=$LAB_DIR/growth

	shift
	n=$#
	each=$((messages / n > 20 ? messages / n : 20))
	rm -rf "$out" && mkdir "$out" || return 1
	for process in $GROWTH_REDIS; do before+=("$(growth_used "$process")"); done
	start=$EPOCHREALTIME
	for filter in "$@"; do
		"$LOAD" --name "$filter" --pid "${BENCH_PROCESS[$filter]}" --warmup 0 --messages "$each" \
		    --connections $((8 / n > 1 ? 8 / n : 1)) --users "$GROWTH_USERS" \
		    "${BENCH_SOCKET[$filter]}" >"$out/$filter" 2>>"$LAB_DIR/load.err" &
		pids+=($!)
	done
	for process in "${pids[@]}"; do
		wait "$process" || failures=$((failures + 1))
	done
	end=$EPOCHREALTIME
	# the journal writes within a second
	sleep 1.2
	for process in $GROWTH_REDIS; do after+=("$(growth_used "$process")"); done
	line=$("$LAB_PYTHON" - "$name" "$((each * n))" "$end" "$start" "${before[*]}" "${after[*]}" "$out"/* <<-'END'
	import json, sys
	name, n, end, start, before, after = sys.argv[1:7]
	filters = [json.load(open(path)) for path in sys.argv[7:]]
	used = [float(b) - float(a) for a, b in zip(before.split(), after.split())]
	print(json.dumps({
	    "name": name, "messages": int(n), "seconds": float(end) - float(start),
	    "per_second": int(n) / (float(end) - float(start)), "redis_us": sum(used) / int(n),
	    "node_share": max(used) / (sum(used) or 1) * len(used),
	    "cpu_us": sum(f["cpu_us"] for f in filters) / len(filters),
	    "p50_us": sum(f["message_us"]["p50"] for f in filters) / len(filters),
	    "slowest": min(f["per_second"] for f in filters) / max(f["per_second"] for f in filters)}))
	END
	) && note "$line"
}

# growth_filters - 1 to 16 filters on one Redis
growth_filters() {
	local n names=()

	for ((n = 1; n <= growth_most; n++)); do
		bench_start_countersign "growth-$n" unix "$(bench_submission)" || return 1
		names+=("growth-$n")
		[[ " 1 2 4 8 16 " != *" $n "* ]] || growth_run "growth/filters/$n" "${names[@]}"
	done
	for n in "${names[@]}"; do lab_end "$n"; done
}

# growth_cluster - a Redis Cluster of three, and filters that share it
growth_cluster() {
	local i port ports=() first='' names=() cli

	for i in 1 2 3; do
		port=$(lab_free_port)
		mkdir -p "$LAB_DIR/node-$i"
		lab_serve "node-$i" "$LAB_SERVERS/usr/bin/redis-server" --bind 127.0.0.1 --port "$port" \
		    --cluster-enabled yes --cluster-config-file nodes.conf --cluster-port \
		    "$(lab_free_port)" --save '' --appendonly no --daemonize no --dir "$LAB_DIR/node-$i"
		lab_up "node-$i" lab_listens "$port" || return 1
		ports+=("$port")
		first=${first:-$port}
	done
	cli=$LAB_SERVERS/usr/bin/redis-cli
	if ! "$cli" --cluster create "${ports[@]/#/127.0.0.1:}" --cluster-yes >"$LAB_DIR/cluster.log" 2>&1; then
		lab_say "the cluster was not made: $(tail -n 1 "$LAB_DIR/cluster.log")"
		return 1
	fi
	lab_up node-1 growth_is_whole "$first" || return 1
	for i in 1 2 3 4; do
		bench_start_countersign "cluster-$i" unix "$(bench_submission)
		    redis = { main = { server = \"inet:127.0.0.1:$first\"  cluster = true } }" || return 1
		names+=("cluster-$i")
	done
	GROWTH_REDIS="${LAB_PID[node-1]} ${LAB_PID[node-2]} ${LAB_PID[node-3]}" \
	    growth_run growth/cluster/3 "${names[@]}"
	for i in "${names[@]}" node-1 node-2 node-3; do lab_end "$i"; done
}

# growth_is_whole PORT - does the cluster serve all slots?
growth_is_whole() {
	growth_cli -p "$1" cluster info | grep -q cluster_state:ok
}

# growth_keep NAME KEY - store what Redis holds of it in $LAB_DIR/model.NAME, and its size there
growth_keep() {
	growth_cli -s "$LAB_DIR/redis.sock" dump "$2" >"$LAB_DIR/model.$1" &&
	    growth_cli -s "$LAB_DIR/redis.sock" memory usage "$2" >"$LAB_DIR/model.$1.size" &&
	    printf '%s' "$2" >"$LAB_DIR/model.$1.key"
}

# growth_fits NAME NUMBER - is there memory for so many copies, and half as many again?
growth_fits() {
	local number=$2 size left

	size=$(<"$LAB_DIR/model.$1.size")
	left=$(awk '$1 == "MemAvailable:" { printf "%d", $2 * 1024 }' /proc/meminfo)
	((size * number < left / 3 * 2)) && return 0
	say_part "NOT MEASURED: $number times $size octets do not fit into memory"
	return 1
}

# growth_copy NAME FROM TO - copies of u0's key for the accounts from uFROM to uTO
growth_copy() {
	"$LAB_PYTHON" "$BENCH_TOP/copy_accounts.py" "$2" "$3" "$(<"$LAB_DIR/model.$1.key")" "$LAB_DIR/model.$1" |
	    growth_cli -s "$LAB_DIR/redis.sock" --pipe >"$LAB_DIR/copies" 2>&1 && return 0
	lab_say "copies of $1: $(head -n 1 "$LAB_DIR/copies")"
	return 1
}

# growth_settle - wait until Redis has nothing more to do with what was copied, such as to rehash
growth_settle() {
	local before after i

	after=$(growth_used "$GROWTH_REDIS")
	for ((i = 0; i < 30; i++)); do
		before=$after
		sleep 1
		after=$(growth_used "$GROWTH_REDIS")
		((after - before > 10000)) || return 0
	done
}

# growth_series NAME FILTER COUNTS EACH - copy up to each count, EACH in a copy, then measure
growth_series() {
	local name=$1 filter=$2 counts=$3 each=$4 number from=1

	for number in $counts; do
		growth_fits "$name" $((number / each)) || return 0
		say_part "$name: $number"
		growth_copy "$name" "$from" $((number / each)) || return 1
		from=$((number / each))
		growth_settle
		GROWTH_USERS=$from growth_run "growth/$name/$number" "$filter"
		note "{\"name\": \"growth/memory/$name/$number\", \"octets\": $(growth_cli -s "$LAB_DIR/redis.sock" info memory |
		    tr -d '\r' | sed -n 's/^used_memory://p')}"
	done
}

# growth_shared - ever more accounts, then ever more history, for one filter
growth_shared() {
	local keys

	growth_cli -s "$LAB_DIR/redis.sock" flushall >/dev/null
	bench_start_countersign growth-one unix "$(bench_submission)" || return 1
	# a hundred messages of each of two accounts: what is kept of u0 is copied
	GROWTH_USERS=2 messages=200 growth_run growth/model growth-one
	mapfile -t keys < <(growth_cli -s "$LAB_DIR/redis.sock" --scan --pattern '*u0@*' | grep -v ':i:')
	growth_keep accounts "$(printf '%s\n' "${keys[@]}" | grep -m 1 '{u0@')" &&
	    growth_keep verdicts "$(printf '%s\n' "${keys[@]}" | grep -m 1 'history')" &&
	    growth_series accounts growth-one "$growth_accounts" 1 &&
	    growth_series verdicts growth-one "$growth_verdicts" "$GROWTH_LIST"
	lab_end growth-one
}

# part_growth - all of it
part_growth() {
	local GROWTH_USERS=1000 GROWTH_REDIS=${LAB_PID[redis]}

	say_part "growth: filters on one Redis"
	growth_filters || return 1
	say_part "growth: a cluster of three"
	growth_cluster || return 1
	say_part "growth: accounts and verdicts"
	growth_shared
}
