#!/bin/sh
# Makes the virtual environment $1 with the first Python >= 3.11 found ($PYTHON first), on machines without ensurepip too.
set -eu
target=$1

for python in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if command -v "$python" >/dev/null 2>&1 &&
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        break
    fi
    python=
done
if [ -z "$python" ]; then
    echo "fleetlog needs Python 3.11 or newer: install python3.11 and python3.11-venv, or name one with PYTHON=..." >&2
    exit 1
fi

rm -rf "$target"
# Debian and Ubuntu ship venv without ensurepip unless python3-venv is installed.
if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    exec "$python" -m venv "$target"
fi
if "$python" -c 'import virtualenv' 2>/dev/null; then
    exec "$python" -m virtualenv --quiet "$target"
fi
if "$python" -m pip --version >/dev/null 2>&1 && "$python" -c 'import venv' 2>/dev/null; then
    "$python" -m venv --without-pip "$target"
    exec "$python" -m pip --python "$target/bin/python" install --quiet pip
fi
echo "this Python can't make a virtual environment: install python3-venv (apt-get install python3-venv)" >&2
exit 1
