# What kafka.sh and spark.sh share; sourced by them. They set
#
#   tool            kafka or spark
#   facts           the file of a folder that tells, one `name=value` a line, what was made there; last of all, so that a folder
#                   without it holds nothing
#   stop_seconds    how long processes that were told to end are waited for
#
# and define `pids PART`, which prints the processes of a part that run, and fails if there are none.
# shellcheck shell=bash disable=SC2154

say() { printf '%s: %s\n' "$tool" "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

# The comment at the top of the script.
usage() {
    sed -n '2,/^set -/p' "$0" | sed -e '/^set -/d' -e 's/^# \{0,1\}//' >&2
    exit 2
}

# ---- the folder

# A value of DIR/$facts.
fact() { sed -n "s/^$1=//p" "$dir/$facts"; }

need_made() { [ -f "$dir/$facts" ] || fail "$dir holds no $facts: \`$tool.sh start --dir $dir\` makes one"; }

# Sets `dir` to one name for it, however it is written: processes are known by it. `start` makes it.
settle_dir() {
    [ "$command" != start ] || mkdir -p "$dir"
    [ -d "$dir" ] || fail "$dir is not there: \`$tool.sh start --dir $dir\` makes it"
    dir=$(cd -P "$dir" && pwd -P)
}

# ---- processes

# The pid in file $1 if it runs: alive, and with $2 in its command line, for pids are used again.
pid_in() {
    local pid command
    pid=$(cat "$1" 2>/dev/null) || return 1
    [ -n "$pid" ] || return 1
    if [ -d /proc/self ]; then
        command=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
    else
        command=$(ps -ww -o args= -p "$pid") || return 1
    fi
    case " $command " in
    *" $2 "*) echo "$pid" ;;
    *) return 1 ;;
    esac
}

# Whether any of the parts $@ runs.
any_runs() {
    local part
    for part in "$@"; do
        ! pids "$part" >/dev/null || return 0
    done
    return 1
}

# Waits until none of the parts $2… runs, at most $1 seconds.
wait_until_gone() {
    local end=$((SECONDS + $1))
    shift
    while any_runs "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# Sends signal $1 to the parts $2….
signal() {
    local name=$1 part running
    shift
    for part in "$@"; do
        # shellcheck disable=SC2086
        ! running=$(pids "$part") || kill -s "$name" $running 2>/dev/null || true
    done
}

# Ends the parts $@.
end_parts() {
    signal TERM "$@"
    # A process that was paused hears of it only now.
    signal CONT "$@"
    if ! wait_until_gone "$stop_seconds" "$@"; then
        say "did not end in $stop_seconds s: killed"
        signal KILL "$@"
        wait_until_gone 10 "$@" || fail "a process could not be killed: see the pids in $dir/*/pid"
    fi
}

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
