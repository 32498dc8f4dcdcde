#!/bin/sh
# Brings SoftHSM, a PKCS#11 token in software, into the folder $1 for the tests: the machine's own, or from its Debian or
# Ubuntu archive, without root, with package lists of its own. The folder then holds libsofthsm2.so and softhsm2-util.
set -eu
target=$1
rm -rf "$target"
mkdir -p "$target"
target=$(cd "$target" && pwd)

for folder in /usr/lib/softhsm /usr/lib/*-linux-gnu/softhsm /usr/local/lib/softhsm; do
    if [ -e "$folder/libsofthsm2.so" ] && command -v softhsm2-util >/dev/null 2>&1; then
        ln -s "$folder/libsofthsm2.so" "$target/libsofthsm2.so"
        ln -s "$(command -v softhsm2-util)" "$target/softhsm2-util"
        exit 0
    fi
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial"
apt() {
    apt-get --quiet=2 -o "Dir::State::Lists=$scratch/lists" -o "Dir::Cache=$scratch/cache" -o Acquire::Languages=none \
        -o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@"
}
apt update
apt install --yes --download-only --no-install-recommends softhsm2
for package in "$scratch"/cache/archives/*.deb; do
    dpkg-deb --extract "$package" "$target"
done
library=$(find "$target" -name libsofthsm2.so | head -n 1)
ln -s "$library" "$target/libsofthsm2.so"
ln -s "$target/usr/bin/softhsm2-util" "$target/softhsm2-util"
