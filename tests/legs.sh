#!/bin/sh
# What `make test-all` runs beside `make test`: whatever needs more than Python, and takes longer.
#
#   tests/legs.sh PYTHON   all of it, one leg after the other, with the environment that PYTHON belongs to
#
# TEST_POSTGRES_URL and TEST_MARIADB_URL name the servers, in the form of DATABASE_URL; the user must be allowed to
# make databases. CHROMIUM names the browser. A leg that cannot run says why; with BANKING_REQUIRE_ALL=1 that is a
# failure, and no test may be skipped. LEGS="postgresql mariadb" runs these alone.
set -u

python="${1:?usage: tests/legs.sh PYTHON}"
# One name per checkout, so that two of them can be tested at the same time.
name="banking_$(pwd | cksum | cut -d ' ' -f 1)"
postgres="${TEST_POSTGRES_URL:-postgres://postgres@127.0.0.1:5432/$name}"
mariadb="${TEST_MARIADB_URL:-mysql://root@localhost/$name}"
chromium="${CHROMIUM:-/usr/bin/chromium}"
require_all="${BANKING_REQUIRE_ALL:-}"
environments=".venv"
workers="${WORKERS:-auto}"
summary=""
failed=""

# leg NAME COMMAND…: run it, and note how it ended and how long it took.
leg() {
    name_of_leg="$1"
    shift
    start="$(date +%s)"
    printf '\n=== %s\n' "$name_of_leg"
    if "$@"; then result="ok    "; else result="FAILED" failed=1; fi
    summary="$summary$result  $(($(date +%s) - start)) s  $name_of_leg
"
}

# not_run NAME REASON: say so; where all must run, that is a failure.
not_run() {
    printf '\n=== %s: not run, %s\n' "$1" "$2"
    if [ -n "$require_all" ]; then result="FAILED" failed=1; else result="-     "; fi
    summary="$summary$result  not run: $1, $2
"
}

# Say why the database cannot be used, or nothing.
why_not() {
    "$python" - "$1" <<'PYTHON' 2>/dev/null || echo "its Python driver is not installed"
import sys

import environ

db = environ.Env.db_url_config(sys.argv[1])
given = {"host": db["HOST"], "user": db["USER"], "password": db["PASSWORD"], "connect_timeout": 3}
if db["PORT"]:
    given["port"] = int(db["PORT"])
if "postgres" in db["ENGINE"]:
    import psycopg as driver

    given["dbname"] = "postgres"
else:
    import MySQLdb as driver
try:
    driver.connect(**given).close()
except driver.Error as error:
    print("it does not answer:", " ".join(str(error).split()))
PYTHON
}

run() { "$python" -m pytest -q -p no:cacheprovider -n "$workers" "$@"; }

# What is left out asks no database, or asks of it what the other tests ask, and would say the same once more.
on_database() {
    DATABASE_URL="$1" run -m "not packaging and not browser and not once" \
        --ignore=tests/example --ignore=tests/packaging --ignore=tests/upstream --ignore=tests/docs \
        --ignore-glob='tests/facts/*_properties.py' --ignore=tests/facts/test_rules.py \
        --ignore=tests/testing --ignore=tests/webhooks/test_verifiers.py \
        --ignore=tests/webhooks/test_saltedge.py tests
}

database() {
    reason="$(why_not "$2")"
    if [ -n "$reason" ]; then not_run "$1" "$reason"; else leg "$1" on_database "$2"; fi
}

# find_python 3.12: print the path of such a Python, if there is one.
find_python() {
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1"*/bin/python "$(command -v "python$1")"; do
        if [ -x "$candidate" ] && "$candidate" --version 2>/dev/null | grep -qF "Python $1."; then
            echo "$candidate"
            return
        fi
    done
}

# uv makes an environment in seconds where pip takes a minute.
uv() { "$environments/uv/bin/uv" "$@"; }
install_uv() {
    [ -x "$environments/uv/bin/uv" ] && return
    "$python" -m venv "$environments/uv" && "$environments/uv/bin/python" -m pip install -qq uv
}

# fast_part NAME PYTHON OPTIONS…: the quick suite in an environment of its own, made with uv's OPTIONS.
fast_part() {
    venv="$environments/$1" base="$2"
    shift 2
    [ -x "$venv/bin/python" ] || uv venv -q --python "$base" "$venv" || return 1
    uv pip install -q --python "$venv/bin/python" --editable '.[dev]' "$@" || return 1
    uv pip list -q --python "$venv/bin/python" | grep -E '^(django|djangorestframework|requests|cryptography) '
    "$venv/bin/python" -m pytest -q -p no:cacheprovider -n "$workers" \
        -m "not browser and not packaging and not once and not long" \
        --ignore-glob='tests/facts/*_properties.py' --ignore=tests/facts/test_rules.py --ignore=tests/accounts --ignore=tests/hostile tests
}

# What pyproject.toml says is enough must be enough: our dependencies at their lowest, all else as it is today.
on_lowest() {
    rm -f "$environments/lowest.txt" # uv would keep to what it names
    uv pip compile -q --python "$python" --resolution lowest-direct --extra saltedge --extra openapi \
        pyproject.toml --output-file "$environments/lowest.txt" >/dev/null &&
        fast_part lowest "$python" --constraint "$environments/lowest.txt"
}

other_versions() {
    if ! install_uv; then
        not_run "other versions" "uv cannot be installed"
        return
    fi
    leg "lowest versions" on_lowest
    for pair in 3.12:6.0 3.13:6.1 3.14:6.1; do
        version="${pair%:*}" django="${pair#*:}"
        base="$(find_python "$version")"
        if [ -n "$base" ]; then
            leg "Python $version, Django $django" fast_part "python-$version" "$base" "django~=$django.0"
        else
            # Which Pythons there are is the machine's, and no fault of it.
            summary="$summary-       not run: Python $version, Django $django, there is no such Python
"
        fi
    done
}

browsers() {
    if [ -x "$chromium" ]; then
        leg "browsers" run -m browser tests
    else
        not_run "browsers" "there is no Chromium (CHROMIUM names one)"
    fi
}

for part in ${LEGS:-long browsers postgresql mariadb versions}; do
    case "$part" in
    long) leg "long runs" run -m "(long or packaging) and not browser" tests ;;
    browsers) browsers ;;
    postgresql) database PostgreSQL "$postgres" ;;
    mariadb) database MariaDB "$mariadb" ;;
    versions) other_versions ;;
    *) not_run "$part" "there is no such leg" ;;
    esac
done

printf '\n=== Summary of make test-all\n%s' "$summary"
[ -z "$failed" ]
