#!/bin/sh
# Installs what building for Windows and running it here needs, from Debian; does nothing when all is there. Debian's own
# compiler is used, because it comes with a source of the standard library, which is then built for Windows, too.
set -eu

missing=""
for row in /usr/bin/rustc:rustc-web /usr/lib/rustlib/src/rust/library/Cargo.lock:rust-web-src \
    /usr/bin/x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64 /usr/lib/wine/wine64:wine64; do
    [ -e "${row%%:*}" ] || missing="$missing ${row#*:}"
done
if [ -z "$missing" ]; then
    echo "windows: all programs are there"
    exit 0
fi

echo "windows: to install:$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "windows: no apt-get here" >&2
    exit 1
fi
if [ "${CI:-}" != true ]; then
    printf 'Install them now? [y/N] '
    read -r answer
    case "$answer" in y | Y | yes) ;; *) echo "windows: nothing installed" >&2; exit 1 ;; esac
fi
root=""
[ "$(id -u)" -eq 0 ] || root=sudo
$root env DEBIAN_FRONTEND=noninteractive apt-get -q update
# shellcheck disable=SC2086  # a list of words is meant
$root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing
