#!/bin/sh
# The part of `make test` that depends on what the machine has.
#
#   tests/databases.sh beside PYTHON COMMAND…   COMMAND and, beside it, the suite on PostgreSQL, then on MariaDB: on
#                                               each one that answers
#   tests/databases.sh browser                  pytest's options for leaving out the browser tests where there is no
#                                               Chromium
#
# TEST_POSTGRES_URL and TEST_MARIADB_URL name the servers, in the form of DATABASE_URL; the user must be allowed to
# make databases. With BANKING_REQUIRE_ALL=1, what is missing is a failure, and nothing is left out.
set -u

# One name per checkout, so that two of them can be tested at the same time.
name="banking_$(pwd | cksum | cut -d ' ' -f 1)"
postgres="${TEST_POSTGRES_URL:-postgres://postgres@127.0.0.1:5432/$name}"
mariadb="${TEST_MARIADB_URL:-mysql://root@localhost/$name}"
require_all="${BANKING_REQUIRE_ALL:-}"

# Say why the server cannot be used, or nothing.
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

# What is left out asks no database, or asks of it what the other tests ask, and would say the same once more.
suite() {
    DATABASE_URL="$1" nice "$python" -m pytest -q -p no:cacheprovider -m "not packaging and not browser and not once" \
        --ignore=tests/example --ignore=tests/packaging --ignore=tests/client --ignore=tests/lifecycle \
        --ignore=tests/docs --ignore=tests/webhooks/test_verifiers.py --ignore=tests/webhooks/test_saltedge.py tests
}

# The suite on one of them, which succeeds if the server is not there and need not be.
leg() {
    reason="$(why_not "$2")"
    if [ -n "$reason" ]; then
        echo "$1: not tested, $reason"
        [ -z "$require_all" ]
        return
    fi
    echo "$1:"
    suite "$2"
}

legs() {
    leg PostgreSQL "$postgres" || failed="PostgreSQL"
    leg MariaDB "$mariadb" || failed="${failed:+$failed, }MariaDB"
    [ -z "${failed:-}" ] && return
    echo "Failed on: $failed"
    return 1
}

case "${1:-}" in
beside)
    python="$2"
    shift 2
    output="$(mktemp)"
    # The shell keeps an interrupt from what runs in the background.
    trap 'trap - INT TERM; rm -f "$output"; kill 0' INT TERM
    legs >"$output" 2>&1 &
    "$@"
    code=$?
    echo "PostgreSQL and MariaDB, beside it …"
    wait $! || code=1
    cat "$output"
    rm "$output"
    [ "$code" -eq 0 ] || echo "Not all of it passed." >&2
    exit "$code"
    ;;
browser)
    if [ -z "$require_all" ] && [ ! -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
        echo '-m "not browser"'
        echo "Browser tests: not run, there is no Chromium (CHROMIUM names one)" >&2
    fi
    ;;
*)
    sed -n 's/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
