#!/usr/bin/env bash
# Brings what a machine lacks, or says exactly what to install. Quick when everything is there.
#
#   scripts/setup.sh WHAT...
#
#   rust        cargo 1.95 or newer, C and C++ compilers, make, pkg-config, the libraries that the Kafka client links
#   dashboard   Node 20 and npm; the page's packages and its build, when they are out of date
#   python      Python 3.11 or newer with the packages of scripts/requirements.txt, in a cache folder
#   strace      strace (Linux)
#   browser     Chromium
#   kafka       Java 17 or newer, Maven; Apache Kafka as deploy/kafka/pom.xml names it, in a cache folder
#   spark       Java 17 or newer; Apache Spark as scripts/requirements-spark.txt names it, in a cache folder
#   kcat        kcat
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${MILLSTREAM_CACHE:-$HOME/.cache/millstream}

say() { printf '==> %s\n' "$*" >&2; }
stop() { printf 'setup: %s\n' "$*" >&2; exit 1; }

hash_of() { cat "$@" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-16; }

# at_least 1.95 1.96.2: whether the second version is the first or newer.
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# Installs Debian packages if this is Debian and we may, otherwise says how.
install_packages() {
    command -v apt-get >/dev/null || stop "install $* with your system's package manager, then run this again"
    [ "$(id -u)" = 0 ] || stop "run \`sudo apt-get install -y $*\`, then this again"
    say "installing $* (apt-get)"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

setup_rust() {
    command -v cargo >/dev/null || stop "cargo is missing: install rustup from https://rustup.rs, then \`rustup toolchain install 1.95\`"
    local version
    version=$(cargo --version | cut -d' ' -f2)
    at_least 1.95 "$version" || stop "cargo is $version, 1.95 is needed: run \`rustup toolchain install 1.95 && rustup default 1.95\`"
    local missing=""
    command -v cc >/dev/null && command -v c++ >/dev/null && command -v make >/dev/null || missing=build-essential
    if [ "$(uname)" = Darwin ]; then
        [ -z "$missing" ] || stop "a C compiler is missing: run \`xcode-select --install\`"
        if ! command -v pkg-config >/dev/null || [ ! -d "$(brew --prefix openssl 2>/dev/null)" ]; then
            stop "run \`brew install openssl pkg-config\`, then this again"
        fi
        return
    fi
    command -v pkg-config >/dev/null || missing="$missing pkg-config"
    pkg-config --exists openssl 2>/dev/null || missing="$missing libssl-dev"
    pkg-config --exists zlib 2>/dev/null || missing="$missing zlib1g-dev"
    # shellcheck disable=SC2086
    [ -z "$missing" ] || install_packages $missing
}

setup_node() {
    command -v npm >/dev/null || stop "Node 20 with npm is missing: see https://nodejs.org/en/download"
    local version
    version=$(node --version | tr -d v)
    at_least 20.19 "$version" || stop "Node is $version, 20.19 is needed: see https://nodejs.org/en/download"
}

# Whether a file of the page is newer than its build.
page_is_stale() {
    [ ! -f dist/index.html ] && return 0
    local newer
    newer=$(find . -type f -newer dist/index.html \
        -not -path './node_modules/*' -not -path './dist/*' -not -path './e2e/*' -not -path './mock/*' -not -path './.*' -print -quit)
    [ -n "$newer" ]
}

setup_dashboard() {
    setup_node
    cd "$root/dashboard"
    local wanted stamp=node_modules/.millstream-lock
    wanted=$(hash_of package-lock.json)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        say "installing the page's packages (npm ci)"
        npm ci --no-audit --no-fund --loglevel=error
        printf '%s' "$wanted" >"$stamp"
    fi
    if page_is_stale; then
        say "building the page (npm run build)"
        npm run build --silent
        touch dist/index.html
    fi
    cd "$root"
}

setup_python() {
    local python venv
    venv=$("$root/scripts/venv.sh")
    [ -x "$venv/bin/python" ] && [ -f "$venv/.complete" ] && return
    for python in "${PYTHON:-}" python3.11 python3 ""; do
        [ -n "$python" ] && command -v "$python" >/dev/null || continue
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' && break
    done
    [ -n "$python" ] || stop "Python 3.11 or newer is missing: on Debian \`apt-get install python3 python3-venv\`; PYTHON=… names another one"
    "$python" -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
    say "installing the tests' Python packages into $venv"
    rm -rf "$venv"
    mkdir -p "$cache"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$root/scripts/requirements.txt"
    touch "$venv/.complete"
}

setup_strace() {
    [ "$(uname)" = Linux ] || return 0
    command -v strace >/dev/null || install_packages strace
}

setup_browser() {
    [ -n "${CHROMIUM:-}" ] && return
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null && return
    [ "$(uname)" = Linux ] || stop "Chromium is missing: install it and set CHROMIUM to its path"
    install_packages chromium fonts-liberation
}

# The version of Java, nothing if there is none.
java_version() {
    { "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 || true; } | sed -n 's/.* version "\([0-9._]*\).*/\1/p'
}

# Java, and the Debian packages $@ if commands of theirs are missing.
setup_java() {
    local version missing="$*"
    version=$(java_version)
    if [ -z "$version" ]; then
        [ -z "${JAVA_HOME:-}" ] || stop "there is no Java in JAVA_HOME, $JAVA_HOME: set it to a Java 17, or unset it"
        if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then
            missing="$missing openjdk-17-jre-headless"
        else
            missing="$missing default-jre-headless"
        fi
    fi
    if [ -n "$missing" ]; then
        [ "$(uname)" = Linux ] ||
            stop "Java 17 is needed, for Kafka Maven too: on macOS run \`brew install openjdk@17 maven\`, set JAVA_HOME to what \`brew --prefix openjdk@17\` prints, then run this again"
        # shellcheck disable=SC2086
        install_packages $missing
        version=$(java_version)
    fi
    at_least 17 "$version" || stop "Java is $version, 17 is needed: install it, and set JAVA_HOME to it if it is not the first in PATH"
}

setup_kafka() {
    if command -v mvn >/dev/null; then setup_java; else setup_java maven; fi
    local jars=$cache/kafka-4.4.0 wanted fetched
    wanted=$(hash_of "$root/deploy/kafka/pom.xml")
    if [ "$(cat "$jars/.complete" 2>/dev/null)" != "$wanted" ]; then
        say "fetching Apache Kafka into $jars (mvn)"
        mkdir -p "$cache"
        fetched=$(mktemp -d "$cache/kafka-fetching.XXXXXX")
        mvn --quiet --batch-mode -Dstyle.color=never --file "$root/deploy/kafka/pom.xml" dependency:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$fetched" >&2
        printf '%s' "$wanted" >"$fetched/.complete"
        chmod 755 "$fetched"
        rm -rf "$jars"
        # Another set-up can have been as quick: its jars are the same.
        mv "$fetched" "$jars"
        rm -rf "${jars:?}/${fetched##*/}"
    fi
    # An archive of another Java is of no use.
    [ "$(cat "$jars/classes.java" 2>/dev/null)" = "$(java_version)" ] || archive_classes "$jars"
}

# Brokers start in half of the time with their classes in an archive, which a first broker writes when it ends. A Java
# that cannot write it starts them all the same, slowly.
archive_classes() {
    say "starting Apache Kafka once"
    local folder options="" kafka=$root/deploy/kafka/kafka.sh
    folder=$(mktemp -d)
    rm -f "$1/classes.jsa"
    if "${JAVA_HOME:+$JAVA_HOME/bin/}java" -Xshare:on -version 2>/dev/null; then options=-XX:ArchiveClassesAtExit=$folder/classes.jsa; fi
    KAFKA_OPTS=$options "$kafka" start --dir "$folder/kafka" >/dev/null || stop "Apache Kafka does not start, see above"
    "$kafka" stop --dir "$folder/kafka"
    if [ -f "$folder/classes.jsa" ]; then
        cp "$folder/classes.jsa" "$1/classes.jsa.new"
        mv -f "$1/classes.jsa.new" "$1/classes.jsa"
    else
        say "no archive of its classes was written: brokers will take longer to start"
    fi
    java_version >"$1/classes.java"
    rm -rf "$folder"
}

setup_spark() {
    setup_java
    setup_python
    local spark=$cache/spark-4.3.0 wanted fetched
    wanted=$(hash_of "$root/scripts/requirements-spark.txt")
    if [ "$(cat "$spark/.complete" 2>/dev/null)" != "$wanted" ]; then
        say "fetching Apache Spark into $spark (pip, 480 MB)"
        fetched=$(mktemp -d "$cache/spark-fetching.XXXXXX")
        # Neither kept a second time in pip's cache nor compiled: Java runs it.
        "$("$root/scripts/venv.sh")/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-compile --no-deps \
            --target "$fetched" -r "$root/scripts/requirements-spark.txt"
        printf '%s' "$wanted" >"$fetched/.complete"
        chmod 755 "$fetched"
        rm -rf "$spark"
        # Another set-up can have been as quick: its files are the same.
        mv "$fetched" "$spark"
        rm -rf "${spark:?}/${fetched##*/}"
    fi
    [ "$(cat "$spark/classes.java" 2>/dev/null)" = "$(java_version)" ] || archive_spark "$spark"
}

# As archive_classes, for Spark: with the classes of a query over Parquet.
archive_spark() {
    say "starting Apache Spark once"
    local folder options="" address server=$root/deploy/spark/spark.sh
    local sql="SELECT count(*), max(trim(_c)), sum(try_cast(_c AS double)) FROM (SELECT to_json(struct(*)) AS _c FROM parquet.\`$root/examples/nyc-taxi/data/yellow_tripdata_2019-01.parquet\`)"
    folder=$(mktemp -d)
    rm -f "$1/classes.jsa"
    if "${JAVA_HOME:+$JAVA_HOME/bin/}java" -Xshare:on -version 2>/dev/null; then options=-XX:ArchiveClassesAtExit=$folder/classes.jsa; fi
    address=$(SPARK_SERVER_OPTS=$options "$server" start --dir "$folder/spark") || stop "Apache Spark does not start, see above"
    PYTHONPATH=$root/tests "$("$root/scripts/venv.sh")/bin/python" -c "import spark, sys; spark.query(*sys.argv[1:])" "$address" "$sql" ||
        say "the first query failed, see above"
    # Writing the archive takes longer than a stop waits at other times.
    SPARK_STOP_SECONDS=300 "$server" stop --dir "$folder/spark"
    if [ -f "$folder/classes.jsa" ]; then
        cp "$folder/classes.jsa" "$1/classes.jsa.new"
        chmod 644 "$1/classes.jsa.new"
        mv -f "$1/classes.jsa.new" "$1/classes.jsa"
    else
        say "no archive of its classes was written: servers will take longer to start"
    fi
    java_version >"$1/classes.java"
    rm -rf "$folder"
}

setup_kcat() {
    command -v kcat >/dev/null && return
    [ "$(uname)" = Linux ] || stop "kcat is missing: on macOS run \`brew install kcat\`"
    install_packages kcat
}

known="rust, dashboard, python, strace, browser, kafka, spark, kcat"
[ $# -gt 0 ] || stop "name what to set up: $known"
for what in "$@"; do
    case $what in
    rust | dashboard | python | strace | browser | kafka | spark | kcat) "setup_$what" ;;
    *) stop "\`$what\` is not known; known: $known" ;;
    esac
done
