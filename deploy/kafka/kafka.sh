#!/usr/bin/env bash
# A small Apache Kafka cluster on this machine, for tests and for trying things out: KRaft, one or three nodes, loopback only.
#
#   kafka.sh start  [--dir DIR] [--nodes 1|3] [--port PORT] [--secure] [--advertised-port PORT] [--node N]
#   kafka.sh stop   [--dir DIR]
#   kafka.sh status [--dir DIR]
#   kafka.sh kill | pause | resume  [--dir DIR] [--node N]      SIGKILL, SIGSTOP, SIGCONT
#
# `start` waits until every node answers and prints the bootstrap servers, nothing else, on stdout. In a folder that holds a
# cluster already it starts the nodes that do not run, on the ports they had. `stop` ends only what `start` started here.
#
#   --dir       where data, logs, pids and secrets are (default: kafka-data in the cache folder)
#   --nodes     1 (default) or 3; with 3, topics have three replicas of which two must be in sync
#   --port      first port; nodes take the next ones, and those 10, 20, … further on (default: free ones)
#   --node      only this node, counted from 0
#   --secure    also SASL_SSL (PLAIN and SCRAM) and SSL with client certificates, and rights are checked:
#               KAFKA_USER (default millstream) may do everything, user `guest` with the same password nothing until
#               an ACL allows it; KAFKA_PASSWORD (default: a random one, in DIR/secure/password)
#   --advertised-port
#               clients are told this port (the next ones for further nodes), on which a proxy of yours listens and passes on
#               to the ports that DIR/cluster names under `behind`; the nodes themselves talk past it
#
# DIR/cluster tells addresses and files, one `name=value` a line. KAFKA_HEAP_OPTS (default -Xmx512m) and KAFKA_OPTS are
# passed to Java. The jars come from `scripts/setup.sh kafka`.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${MILLSTREAM_CACHE:-$HOME/.cache/millstream}
jars=$cache/kafka-4.4.0
start_seconds=120
stop_seconds=15

tool=kafka facts=cluster
# shellcheck source=deploy/lib.sh
. "$here/../lib.sh"

java=${JAVA_HOME:+$JAVA_HOME/bin/}java

# ---- the folder of a cluster

# The numbers of the nodes meant: the one of --node, otherwise all.
chosen() {
    if [ -z "$node" ]; then
        seq 0 $(($(fact nodes) - 1))
    elif [ "$node" -lt "$(fact nodes)" ]; then
        echo "$node"
    else
        fail "--node $node: $dir holds $(fact nodes) nodes, counted from 0"
    fi
}

# ---- processes

# The process of node $1, if it runs.
pids() { pid_in "$dir/node-$1/pid" "kafka.Kafka $dir/node-$1/server.properties"; }

# All jars in one order: the archive of classes holds for no other.
class_path() {
    local path
    path=$(printf '%s:' "$jars"/*.jar)
    echo "${path%:}"
}

launch() {
    local folder=$dir/node-$1 archive=''
    [ ! -f "$jars/classes.jsa" ] || archive=-XX:SharedArchiveFile=$jars/classes.jsa
    # A process group of its own: Ctrl-C in the terminal is not meant for it. `exec`, so that the pid is Java's.
    (
        set -m
        # shellcheck disable=SC2086
        exec "$java" ${KAFKA_HEAP_OPTS:--Xmx512m} ${archive:+"$archive"} -XX:+ExitOnOutOfMemoryError ${KAFKA_OPTS:-} \
            "-Dlog4j2.configurationFile=$here/log4j2.properties" -cp "$(class_path)" \
            kafka.Kafka "$folder/server.properties" </dev/null >>"$folder/server.log" 2>&1 &
        echo $! >"$folder/pid"
    )
}

# ---- ports and waiting

# Whether a broker at port $1 answers a request (ApiVersions, version 0).
answers() {
    (
        exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
        printf '\0\0\0\12\0\22\0\0\0\0\0\1\377\377' >&3
        read -r -t 3 -n 1 -u 3 _
    ) 2>/dev/null
}

# All ports of a cluster whose first one is $1.
ports_from() {
    local kinds=2 kind number
    [ "$secure" = no ] || kinds=4
    for ((number = 0; number < nodes; number++)); do
        for ((kind = 0; kind < kinds; kind++)); do echo $(($1 + 10 * kind + number)); done
        [ -z "$advertised_port" ] || echo $(($1 + 40 + number))
    done
}

all_free() {
    local port
    for port in $(ports_from "$1"); do
        ! port_taken "$port" || return 1
    done
}

free_port() {
    local try
    for ((try = 0; try < 200; try++)); do
        # Below the ports that systems give to outgoing connections.
        set -- $((12000 + (RANDOM % 300) * 60))
        if all_free "$1"; then
            echo "$1"
            return
        fi
    done
    fail "found no free ports between 12000 and 30000"
}

# Waits until node $1 has started, as its log from byte $2 on says, and answers.
wait_until_up() {
    local number=$1 from=$2 log=$dir/node-$1/server.log port end=$((SECONDS + start_seconds))
    port=$(($(fact port) + number))
    local seen=''
    until tail -c "+$((from + 1))" "$log" | grep 'Kafka Server started' >/dev/null && answers "$port"; do
        # Between its making and its first step a process does not have the name of Java yet.
        if pids "$number" >/dev/null; then
            seen=yes
        elif [ -n "$seen" ] || ! kill -0 "$(cat "$dir/node-$number/pid")" 2>/dev/null; then
            tail -n 20 "$log" >&2
            say "node $number ended while it started; its log: $log"
            return 1
        fi
        if [ "$SECONDS" -ge "$end" ]; then
            tail -n 20 "$log" >&2
            say "node $number did not answer at 127.0.0.1:$port in $start_seconds s; its log: $log"
            return 1
        fi
        sleep 0.05
    done
}

# ---- making a cluster

# Addresses of all nodes, of which the first has port $1.
addresses() {
    local number list=''
    for ((number = 0; number < nodes; number++)); do list=$list,127.0.0.1:$(($1 + number)); done
    echo "${list#,}"
}

# server.properties of node $1. The one place where the settings of brokers are written.
settings() {
    local number=$1 replicas=$nodes in_sync=1 voters='' other
    [ "$nodes" = 1 ] || in_sync=2
    for ((other = 0; other < nodes; other++)); do voters=$voters,$other@127.0.0.1:$((port + 10 + other)); done
    local listeners=PLAINTEXT://127.0.0.1:$((port + number)) advertised
    advertised=$listeners
    if [ "$secure" = yes ]; then
        local more=SASL_SSL://127.0.0.1:$((port + 20 + number)),SSL://127.0.0.1:$((port + 30 + number))
        listeners=$listeners,$more
        advertised=$advertised,$more
    fi
    if [ -n "$advertised_port" ]; then
        listeners=$listeners,PROXIED://127.0.0.1:$((port + 40 + number))
        advertised=$advertised,PROXIED://127.0.0.1:$((advertised_port + number))
    fi
    cat <<END
process.roles=broker,controller
node.id=$number
log.dirs=$dir/node-$number/data
controller.quorum.voters=${voters#,}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=$listeners,CONTROLLER://127.0.0.1:$((port + 10 + number))
advertised.listeners=$advertised
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL

# A topic is made on purpose or not at all.
auto.create.topics.enable=false
default.replication.factor=$replicas
min.insync.replicas=$in_sync
offsets.topic.replication.factor=$replicas
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$in_sync
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$in_sync

# Small, and quick to be there.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608

# Zombies come soon: short time-outs are allowed, and overdue transactions are looked for twice a second.
group.min.session.timeout.ms=1000
transaction.max.timeout.ms=900000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
# A killed node may come back after this time, and its partitions have another leader after it.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=5000
log.retention.check.interval.ms=5000
END
    [ "$secure" = no ] || secure_settings
}

secure_settings() {
    local password
    password=$(cat "$dir/secure/password")
    cat <<END

ssl.keystore.type=PEM
ssl.keystore.location=$dir/secure/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$dir/secure/ca.pem
listener.name.ssl.ssl.client.auth=required
listener.name.sasl_ssl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_$user="$password" user_guest="$password";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
# Nodes among themselves, and whoever comes through the plain listener, are ANONYMOUS.
super.users=User:ANONYMOUS;User:$user;User:CN=$user
END
}

# Certificate authority, server and client certificates: good for this folder and nothing else.
make_secrets() {
    local folder=$dir/secure
    command -v openssl >/dev/null || fail "--secure needs openssl: install it, then run this again"
    mkdir -p "$folder"
    if [ -n "${KAFKA_PASSWORD:-}" ]; then
        printf '%s' "$KAFKA_PASSWORD" >"$folder/password"
    else
        openssl rand -hex 16 | tr -d '\n' >"$folder/password"
    fi
    (
        cd "$folder"
        curve() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
        issue() {
            curve "$1.key"
            printf '%s\n' "$3" >extensions
            openssl req -new -key "$1.key" -subj "/CN=$2" -out request
            openssl x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -sha256 -extfile extensions \
                -out "$1.crt" 2>/dev/null
        }
        curve ca.key
        openssl req -x509 -new -key ca.key -subj "/CN=Millstream test authority" -days 3650 -sha256 -out ca.pem
        issue server localhost "subjectAltName=DNS:localhost,IP:127.0.0.1"
        issue client "$user" "extendedKeyUsage=clientAuth"
        cat server.key server.crt >server.pem
        mv client.crt client.pem
        openssl pkcs8 -topk8 -v2 aes-256-cbc -in client.key -passout file:password -out client-encrypted.key
        rm -f request extensions ca.srl server.key server.crt
    )
}

format() {
    local number=$1 id=$2 scram
    set -- -t "$id" -c "$dir/node-$number/server.properties"
    if [ "$secure" = yes ]; then
        local name password
        password=$(cat "$dir/secure/password")
        for name in "$user" guest; do
            for scram in SCRAM-SHA-256 SCRAM-SHA-512; do
                set -- "$@" --add-scram "$scram=[name=$name,password=$password]"
            done
        done
    fi
    if ! "$java" -cp "$(class_path)" kafka.tools.StorageTool format "$@" >"$dir/node-$number/format.log" 2>&1; then
        tail -n 20 "$dir/node-$number/format.log" >&2
        fail "could not prepare the folder of node $number"
    fi
}

make_cluster() {
    nodes=${nodes:-1}
    secure=${secure:-no}
    user=${KAFKA_USER:-millstream}
    case $user${KAFKA_PASSWORD:-} in
    *[!A-Za-z0-9._-]*) fail "KAFKA_USER and KAFKA_PASSWORD: letters, digits and . _ - only" ;;
    esac
    [ "$user" != guest ] || fail "KAFKA_USER: \`guest\` is the user without rights"
    if [ -z "$port" ]; then
        port=$(free_port)
    elif ! all_free "$port"; then
        fail "--port $port: one of the ports $(ports_from "$port" | tr '\n' ' ')is taken"
    fi
    local number id jobs=''
    # Passwords are in here.
    umask 077
    [ "$secure" = no ] || make_secrets
    id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c1-22 | sed 's/^-/A/')
    for ((number = 0; number < nodes; number++)); do
        mkdir -p "$dir/node-$number"
        settings "$number" >"$dir/node-$number/server.properties"
        format "$number" "$id" &
        jobs="$jobs $!"
    done
    for number in $jobs; do wait "$number"; done
    # Written last: a folder without it holds no cluster.
    {
        printf '%s=%s\n' nodes "$nodes" port "$port" secure "$secure" advertised_port "$advertised_port" \
            bootstrap "$(addresses "$port")"
        if [ "$secure" = yes ]; then
            printf '%s=%s\n' sasl_bootstrap "$(addresses $((port + 20)))" mtls_bootstrap "$(addresses $((port + 30)))" user "$user"
        fi
        if [ -n "$advertised_port" ]; then
            printf '%s=%s\n' advertised_bootstrap "$(addresses "$advertised_port")" behind "$(addresses $((port + 40)))"
        fi
    } >"$dir/cluster.new"
    mv "$dir/cluster.new" "$dir/cluster"
}

# An option that says something else than the cluster in the folder is.
contradicts() { [ -n "$2" ] && [ "$2" != "$(fact "$1")" ]; }

# ---- commands

start() {
    [ -f "$jars/.complete" ] || fail "Apache Kafka is not in $jars: run \`scripts/setup.sh kafka\`"
    command -v "$java" >/dev/null || fail "Java is missing: run \`scripts/setup.sh kafka\`"
    if [ -f "$dir/cluster" ]; then
        local name
        for name in nodes port secure advertised_port; do
            ! contradicts "$name" "${!name}" ||
                fail "$dir holds a cluster with $name=$(fact "$name"), not ${!name}: name another --dir, or remove this one"
        done
    else
        [ -z "$(ls -A "$dir")" ] || fail "$dir is not empty and holds no cluster: name another --dir, or empty it"
        # What was made by half is made anew the next time.
        trap 'rm -rf "$dir"/node-[0-2] "$dir/secure" "$dir/cluster.new"' EXIT
        make_cluster
        trap - EXIT
    fi
    local number numbers from launched='' starts=''
    numbers=$(chosen)
    for number in $numbers; do
        if pids "$number" >/dev/null; then continue; fi
        # Logs are appended to; this is where the one of this start begins.
        : >>"$dir/node-$number/server.log"
        from=$(wc -c <"$dir/node-$number/server.log")
        launch "$number"
        launched="$launched $number"
        starts="$starts $number:$((from))"
    done
    for number in $starts; do
        if ! wait_until_up "${number%:*}" "${number#*:}"; then
            # shellcheck disable=SC2086
            end_parts $launched
            exit 1
        fi
    done
    fact bootstrap
}

stop() {
    need_made
    local numbers
    numbers=$(chosen)
    # shellcheck disable=SC2086
    end_parts $numbers
}

status() {
    need_made
    local number numbers pid address code=0
    numbers=$(chosen)
    for number in $numbers; do
        address=127.0.0.1:$(($(fact port) + number))
        if ! pid=$(pids "$number"); then
            echo "node $number: not running, log $dir/node-$number/server.log"
            code=1
        elif answers "${address#*:}"; then
            echo "node $number: answers at $address, pid $pid, log $dir/node-$number/server.log"
        else
            echo "node $number: pid $pid runs and does not answer at $address, log $dir/node-$number/server.log"
            code=1
        fi
    done
    fact bootstrap
    return "$code"
}

# Sends signal $1 to the chosen nodes, all of which must run.
disturb() {
    need_made
    local number numbers
    numbers=$(chosen)
    for number in $numbers; do
        pids "$number" >/dev/null || fail "node $number does not run"
    done
    # shellcheck disable=SC2086
    signal "$1" $numbers
    # shellcheck disable=SC2086
    [ "$1" != KILL ] || wait_until_gone 10 $numbers || fail "a node could not be killed"
}

command=${1:-}
case $command in
start | stop | status | kill | pause | resume) shift ;;
*) usage ;;
esac
dir='' nodes='' port='' secure='' advertised_port='' node=''
while [ $# -gt 0 ]; do
    case $1 in
    --secure) secure=yes ;;
    --dir | --nodes | --port | --advertised-port | --node)
        [ -n "${2:-}" ] || fail "$1 needs a value"
        name=${1#--}
        printf -v "${name//-/_}" '%s' "$2"
        shift
        ;;
    *) usage ;;
    esac
    shift
done
case $nodes in '' | 1 | 3) ;; *) fail "--nodes $nodes: 1 or 3" ;; esac
for name in port advertised_port node; do
    case ${!name} in *[!0-9]*) fail "--${name//_/-} ${!name}: a number" ;; esac
done
dir=${dir:-$cache/kafka-data}
settle_dir

case $command in
start | stop | status) "$command" ;;
kill) disturb KILL ;;
pause) disturb STOP ;;
resume) disturb CONT ;;
esac
