# shellcheck shell=bash
# shellcheck disable=SC2034 # most results are variables that the caller reads
#
# web.sh - a private Prometheus for the laboratory
#
# Sourced after lab.sh. Prometheus and promtool are downloaded and unpacked, never installed.
#
# The order of calls:
#
#	lab_fetch_servers CACHE; lab_web_fetch CACHE
#	lab_create
#	lab_web_start_prometheus TARGET [LINES]	it scrapes http://TARGET/metrics
#	lab_web_python ARGUMENT...	Python with the library of Prometheus
#	lab_web_query EXPRESSION	the answer of Prometheus, in JSON
#	lab_stop			stops it, too

LAB_WEB_PACKAGES="prometheus python3-decorator python3-prometheus-client"

# lab_web_fetch CACHE - make the programs available; sets LAB_WEB. Called after lab_fetch_servers,
# which looked at whose directory it is.
lab_web_fetch() {
	local rc=0

	lab_fetch "$1" web lab_download "$LAB_WEB_PACKAGES" || rc=1
	LAB_WEB=$LAB_FETCHED
	return $rc
}

# lab_web_promtool ARGUMENT... - promtool
lab_web_promtool() {
	"$LAB_WEB/usr/bin/promtool" "$@"
}

# lab_web_python ARGUMENT... - Python with prometheus_client
lab_web_python() {
	PYTHONPATH=$LAB_WEB/usr/lib/python3/dist-packages "$LAB_PYTHON" "$@"
}

# lab_web_prometheus_ready - does Prometheus answer?
lab_web_prometheus_ready() {
	curl -sf "http://127.0.0.1:$LAB_WEB_PORT/-/ready" >/dev/null
}

# lab_web_start_prometheus TARGET [LINES] - run Prometheus, which scrapes TARGET every second; LINES are
# further lines of its configuration, sets LAB_WEB_PORT
lab_web_start_prometheus() {
	local dir=$LAB_DIR/prometheus

	mkdir -p "$dir"
	LAB_WEB_PORT=$(lab_free_port)
	cat >"$dir/prometheus.yml" <<-END
	global:
	  scrape_interval: 1s
	  scrape_timeout: 1s
	  evaluation_interval: 1s
	${2:-}
	scrape_configs:
	  - job_name: countersign
	    static_configs:
	      - targets: ["$1"]
	END
	lab_serve prometheus "$LAB_WEB/usr/bin/prometheus" --config.file="$dir/prometheus.yml" \
	    --storage.tsdb.path="$dir/data" --web.listen-address="127.0.0.1:$LAB_WEB_PORT"
	lab_up prometheus lab_web_prometheus_ready
}

# lab_web_query EXPRESSION - what Prometheus says of it, in JSON
lab_web_query() {
	curl -sG "http://127.0.0.1:$LAB_WEB_PORT/api/v1/query" --data-urlencode "query=$1"
}
