#!/bin/sh
# Says plainly what is missing before cargo can say anything: a Rust that is new enough, and a
# linker.
minimum=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$(cargo --version 2>/dev/null | sed 's/^cargo \([0-9.]*\).*/\1/')
if [ -z "$found" ]; then
    echo "error: Rust $minimum or newer is needed, and there is no cargo (https://rustup.rs)" >&2
    exit 1
fi
oldest=$(printf '%s\n%s\n' "$minimum" "$found" | sort -V | head -n 1)
if [ "$oldest" != "$minimum" ]; then
    echo "error: Rust $minimum or newer is needed, this is $found (rustup update stable)" >&2
    exit 1
fi
command -v cc >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing a linker for Rust: gcc"
    apt-get update -q && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends gcc libc6-dev && exit 0
fi
echo "error: a linker is needed (on Debian and Ubuntu: apt-get install gcc libc6-dev)" >&2
exit 1
