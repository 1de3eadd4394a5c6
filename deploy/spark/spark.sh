#!/usr/bin/env bash
# A small Apache Spark on this machine, for tests and for trying things out: a Spark Connect server, loopback only.
#
#   spark.sh start  [--dir DIR] [--port PORT] [--token TOKEN] [--conf NAME=VALUE]... [--cluster] [--part PART]
#   spark.sh stop   [--dir DIR]
#   spark.sh status [--dir DIR]
#   spark.sh kill | pause | resume  [--dir DIR] [--part PART]   SIGKILL, SIGSTOP, SIGCONT
#
# `start` waits until the server answers and prints its address, sc://127.0.0.1:PORT, nothing else, on stdout. In a folder that
# holds a server already it starts what does not run, with the port and settings that it had. `stop` ends only what `start`
# started here.
#
#   --dir       where settings, logs, pids and scratch files are (default: spark-data in the cache folder)
#   --port      port of the server, with --cluster also the next one (default: free ones)
#   --token     clients must show it, as `;token=TOKEN` behind the address (default: none is asked for)
#   --conf      a setting of Spark, such as spark.driver.memory=4g (default 2g) or spark.master=local[4] (default local[2])
#   --cluster   standalone: one master and two workers with a core and 1 GB each; the server runs its queries there
#   --part      only connect (default for kill, pause, resume), master, worker-1 or worker-2; `executor` for kill, pause and
#               resume is every one that runs (one outlives its worker when that is killed)
#
# DIR/server tells what it is, DIR/PART/log what each part says. SPARK_SERVER_OPTS is passed to the server's Java. Spark comes from `scripts/setup.sh spark`.
set -euo pipefail

cache=${MILLSTREAM_CACHE:-$HOME/.cache/millstream}
spark=$cache/spark-4.3.0
server_options=${SPARK_SERVER_OPTS:-}
start_seconds=180
stop_seconds=${SPARK_STOP_SECONDS:-30}

tool=spark facts=server
# shellcheck source=deploy/lib.sh
. "$(dirname "$0")/../lib.sh"

# ---- the folder of a server

# All parts, in the order in which they start.
parts() { if [ "$(fact cluster)" = yes ]; then echo master worker-1 worker-2 connect; else echo connect; fi; }

# The part of --part; without one $@.
chosen() {
    if [ -z "$part" ]; then
        echo "$@"
    elif [[ " $(parts) " == *" $part "* ]]; then
        echo "$part"
    else
        fail "--part $part: $dir has $(parts)"
    fi
}

# ---- processes

# What the command line of a part's process holds, and of no other.
mark() { echo "-Dmillstream.part=$dir/$1"; }

# Java's option for the archive of Spark's classes, with which it starts in half of the time. One of another Java is passed over.
class_archive() { [ ! -f "$spark/classes.jsa" ] || echo "-XX:SharedArchiveFile=$spark/classes.jsa"; }

# The processes of part $1 that run. Executors are children of workers and are found by their mark alone.
pids() {
    local found
    if [ "$1" != executor ]; then
        pid_in "$dir/$1/pid" "$(mark "$1")"
        return
    fi
    found=$(ps -ww -e -o pid=,args= | awk -v mark="$(mark executor)" '{ for (i = 2; i <= NF; i++) if ($i == mark) print $1 }')
    [ -n "$found" ] && echo "$found"
}

# Starts part $1 as `spark-class $2…`, in its folder and in a process group of its own, so that Ctrl-C in the terminal is not
# meant for it. The scripts of Spark `exec`, so that the pid is Java's in the end.
launch() {
    local name=$1 folder=$dir/$1 class archive
    archive=$(class_archive)
    shift
    mkdir -p "$folder"
    : >"$folder/pid"
    (
        set -m
        cd "$folder"
        # Settings of another Spark on this machine are not meant for this one.
        for class in "${!SPARK_@}" HADOOP_CONF_DIR YARN_CONF_DIR; do unset "$class"; done
        export SPARK_HOME=$spark/pyspark SPARK_LOCAL_IP=127.0.0.1 SPARK_NO_DAEMONIZE=1
        export SPARK_WORKER_DIR=$folder/work
        # For the server it would win over `spark.driver.memory`.
        [ "$name" = connect ] || export SPARK_DAEMON_MEMORY=512m
        export SPARK_DAEMON_JAVA_OPTS="-Dmillstream.part=$folder -Dspark.master.rest.enabled=false $archive"
        exec "$SPARK_HOME/bin/spark-class" "$@" </dev/null >>"$folder/log" 2>&1 &
        echo $! >"$folder/pid"
    )
}

launch_part() {
    local port
    port=$(fact port)
    case $1 in
    connect)
        launch connect org.apache.spark.deploy.SparkSubmit --properties-file "$dir/connect/spark.conf" \
            --class org.apache.spark.sql.connect.service.SparkConnectServer spark-internal
        ;;
    master) launch master org.apache.spark.deploy.master.Master --host 127.0.0.1 --port $((port + 1)) --webui-port 0 ;;
    worker-*)
        launch "$1" org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --webui-port 0 --cores 1 --memory 1g \
            "spark://127.0.0.1:$((port + 1))"
        ;;
    esac
}

# ---- ports and waiting

# Whether an HTTP/2 server at port $1 answers to its preface and empty settings.
answers() {
    (
        exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
        printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0' >&3
        # bash cannot read the zero bytes of the answer one by one; that there is one is enough.
        read -r -t 3 -n 1 -d '' -u 3 _
    ) 2>/dev/null
}

free_port() {
    local try
    for ((try = 0; try < 200; try++)); do
        # Below the ports that systems give to outgoing connections.
        set -- $((12000 + (RANDOM % 9000) * 2))
        if ! port_taken "$1" && ! port_taken $(($1 + 1)); then
            echo "$1"
            return
        fi
    done
    fail "found no free ports between 12000 and 30000"
}

# Whether part $1 has come up; its log from byte $2 on is of this start.
is_up() {
    case $1 in
    connect) answers "$(fact port)" ;;
    master) port_taken $(($(fact port) + 1)) ;;
    worker-*) tail -c "+$(($2 + 1))" "$dir/$1/log" | grep 'Successfully registered with master' >/dev/null ;;
    esac
}

wait_until_up() {
    local end=$((SECONDS + start_seconds))
    # A process that has only just begun does not bear its mark yet.
    until is_up "$1" "$2"; do
        if ! pids "$1" >/dev/null && ! kill -0 "$(cat "$dir/$1/pid")" 2>/dev/null; then
            tail -n 20 "$dir/$1/log" >&2
            say "$1 ended while it started; its log: $dir/$1/log"
            return 1
        fi
        if [ "$SECONDS" -ge "$end" ]; then
            tail -n 20 "$dir/$1/log" >&2
            say "$1 was not up in $start_seconds s; its log: $dir/$1/log"
            return 1
        fi
        sleep 0.1
    done
}

# Waits for the parts that were launched, each named as part:bytes of log before; if one does not come up, ends them all.
wait_or_end() {
    local one names=''
    for one in $1; do names="$names ${one%:*}"; done
    for one in $1; do
        if ! wait_until_up "${one%:*}" "${one#*:}"; then
            # shellcheck disable=SC2086
            end_parts $names
            exit 1
        fi
    done
}

# ---- making a server

# spark.conf of the server: the one place where its settings are written. What comes later wins.
settings() {
    local one
    cat <<END
spark.app.name millstream
spark.master local[2]
spark.driver.memory 2g
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
spark.driver.extraJavaOptions $(mark connect) ${server_options:-$(class_archive)}
spark.connect.grpc.binding.address 127.0.0.1
spark.connect.grpc.binding.port $port
spark.ui.enabled false
spark.local.dir $dir/connect/local
spark.sql.warehouse.dir $dir/connect/warehouse
spark.sql.catalogImplementation in-memory
END
    if [ "$cluster" = yes ]; then
        cat <<END
spark.master spark://127.0.0.1:$((port + 1))
spark.executor.memory 768m
spark.executor.cores 1
spark.executor.extraJavaOptions $(mark executor) $(class_archive)
# A query begins when both workers can take part.
spark.scheduler.minRegisteredResourcesRatio 1.0
END
    fi
    [ -z "$token" ] || echo "spark.connect.authenticate.token $token"
    for one in ${confs[@]+"${confs[@]}"}; do echo "${one%%=*} ${one#*=}"; done
}

make_server() {
    if [ -z "$port" ]; then
        port=$(free_port)
    elif port_taken "$port"; then
        fail "--port $port: taken"
    fi
    cluster=${cluster:-no}
    # The token is in here.
    umask 077
    mkdir -p "$dir/connect/local"
    settings >"$dir/connect/spark.conf"
    # Written last: a folder without it holds no server.
    printf '%s=%s\n' port "$port" cluster "$cluster" address "sc://127.0.0.1:$port" >"$dir/server.new"
    mv "$dir/server.new" "$dir/server"
}

# ---- commands

start() {
    [ -f "$spark/.complete" ] || fail "Apache Spark is not in $spark: run \`scripts/setup.sh spark\`"
    command -v "${JAVA_HOME:+$JAVA_HOME/bin/}java" >/dev/null || fail "Java is missing: run \`scripts/setup.sh spark\`"
    if [ -f "$dir/server" ]; then
        [ "$token${confs[*]-}$cluster${port:-$(fact port)}" = "$(fact port)" ] ||
            fail "$dir holds a server with settings of its own: start it without options, name another --dir, or remove this one"
    else
        [ -z "$(ls -A "$dir")" ] || fail "$dir is not empty and holds no server: name another --dir, or empty it"
        make_server
    fi
    local name names launched=''
    # shellcheck disable=SC2046
    names=$(chosen $(parts))
    for name in $names; do
        if pids "$name" >/dev/null; then continue; fi
        mkdir -p "$dir/$name"
        # Logs are appended to; this is where the one of this start begins.
        : >>"$dir/$name/log"
        launched="$launched $name:$(wc -c <"$dir/$name/log" | tr -d ' ')"
        launch_part "$name"
        # All others come up at the same time, and want the master to be there.
        if [ "$name" = master ]; then wait_or_end "$launched"; fi
    done
    wait_or_end "$launched"
    fact address
}

stop() {
    need_made
    # The server first: executors end with it.
    if [ "$(fact cluster)" = yes ]; then end_parts connect executor worker-1 worker-2 master; else end_parts connect; fi
}

status() {
    need_made
    local name pid code=0
    for name in $(parts); do
        if ! pid=$(pids "$name"); then
            echo "$name: not running, log $dir/$name/log"
            code=1
        elif [ "$name" != connect ] || answers "$(fact port)"; then
            echo "$name: runs, pid $pid, log $dir/$name/log"
        else
            echo "$name: pid $pid runs and does not answer, log $dir/$name/log"
            code=1
        fi
    done
    fact address
    return "$code"
}

# Sends signal $1 to the chosen part, which must run.
disturb() {
    need_made
    local name
    if [ "$part" = executor ]; then name=executor; else name=$(chosen connect); fi
    any_runs "$name" || fail "$name does not run"
    signal "$1" "$name"
    [ "$1" != KILL ] || wait_until_gone 10 "$name" || fail "$name could not be killed"
}

command=${1:-}
case $command in
start | stop | status | kill | pause | resume) shift ;;
*) usage ;;
esac
dir='' port='' token='' part='' cluster='' confs=()
while [ $# -gt 0 ]; do
    case $1 in
    --cluster) cluster=yes ;;
    --conf)
        case ${2:-} in *=*) confs+=("$2") ;; *) fail "--conf needs NAME=VALUE" ;; esac
        shift
        ;;
    --dir | --port | --token | --part)
        [ -n "${2:-}" ] || fail "$1 needs a value"
        printf -v "${1#--}" '%s' "$2"
        shift
        ;;
    *) usage ;;
    esac
    shift
done
case $port in *[!0-9]*) fail "--port $port: a number" ;; esac
case $token in *[!A-Za-z0-9._~-]*) fail "--token: letters, digits and . _ ~ - only" ;; esac
dir=${dir:-$cache/spark-data}
settle_dir
case $dir in *[[:space:]\"\\]*) fail "$dir: Spark's settings take no path with spaces, quotes or backslashes" ;; esac

case $command in
start | stop | status) "$command" ;;
kill) disturb KILL ;;
pause) disturb STOP ;;
resume) disturb CONT ;;
esac
