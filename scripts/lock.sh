#!/bin/sh
# Compiles requirements/*.in into *.txt with hashes. The compiler (uv) lives in an environment of its own, thrown away after.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sh scripts/make-venv.sh "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet uv
compile() {
    "$scratch/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate "$@"
}
compile requirements/dev.in -o requirements/dev.txt
# The run set takes the versions of the dev set, so that one environment serves both.
compile requirements/run.in -c requirements/dev.txt -o requirements/run.txt
# An environment of its own, whose versions are of nobody else's concern.
compile requirements/flink-build.in -o requirements/flink-build.txt
compile requirements/flink.in -o requirements/flink.txt
