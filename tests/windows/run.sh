#!/bin/sh
# Builds the program for Windows and runs it under Wine: what it says there is what it says here, byte for byte.
#
# Usage: run.sh PROGRAM, where PROGRAM was built for this system. CARGO names cargo. Takes what setup.sh installs.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
native=$1
out=$root/target/windows
cargo=${CARGO:-cargo}
target=x86_64-pc-windows-gnu
failed=0

build() {
    # Debian's compiler counts as stable; building the standard library is what it has to be allowed to.
    # LIBPCAP_VER: the version is asked of a library of this system otherwise.
    (cd "$root" && RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$out LIBPCAP_LIBDIR=$out LIBPCAP_VER=1.10.4 \
        "$cargo" build --locked -Zbuild-std=std,panic_abort --target $target "$@")
}

fail() {
    printf 'FAIL %s\n' "$1" >&2
    failed=1
}

# wine NAME ARGUMENT...: runs it; its streams in $work/NAME.out and .err, its status in $status.
wine() {
    name=$1
    shift
    status=0
    HOME=$work timeout 120 /usr/lib/wine/wine64 "$program" "$@" >"$work/$name.out" 2>"$work/$name.err" || status=$?
}

# here NAME ARGUMENT...: the same with this system's program, in $work/NAME.expected.
here() {
    name=$1
    shift
    expected=0
    LANG=C.UTF-8 LC_ALL='' "$native" "$@" >"$work/$name.expected" 2>/dev/null || expected=$?
}

# same NAME: both said the same and ended alike.
same() {
    if [ "$status" -ne "$expected" ]; then
        fail "$1: status $status, expected $expected: $(head -c 500 "$work/$1.err")"
    elif ! cmp -s "$work/$1.out" "$work/$1.expected"; then
        fail "$1: $(diff "$work/$1.expected" "$work/$1.out" | head -6)"
    else
        echo "ok   $1"
    fi
}

# says NAME STATUS TEXT: it ended so, and one of its streams holds the text.
says() {
    if [ "$status" -eq "$2" ] && cat "$work/$1.out" "$work/$1.err" | grep -qF -e "$3"; then
        echo "ok   $1"
    else
        fail "$1: status $status, expected $2 and \"$3\": $(cat "$work/$1.out" "$work/$1.err" | head -c 600)"
    fi
}

mkdir -p "$out"
began=$(date +%s)
build --no-default-features
x86_64-w64-mingw32-gcc -shared -Wall -o "$out/bcryptprimitives.dll" "$here/prng.c" -ladvapi32
echo "built in $(($(date +%s) - began)) s"
cp "$out/bcryptprimitives.dll" "$out/$target/debug/"
program=$out/$target/debug/portwitness.exe

# A Windows of its own, gone with the test; its server ends with its last program.
work=$(mktemp -d "$out/run.XXXXXX")
export WINEPREFIX="$work/prefix" WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=;winemenubuilder.exe=d'
export WINESERVER=/usr/lib/wine/wineserver64
unset DISPLAY LANG LC_ALL LC_CTYPE TERM NO_COLOR CLICOLOR 2>/dev/null || true
finish() {
    $WINESERVER -k -w 2>/dev/null || true # the one of this WINEPREFIX only
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$WINEPREFIX"

cp -r "$root/captures" "$work/captures"
cd "$work/captures"
began=$(date +%s)

# Three captures, in every form.
for case in restore-clean:mount-server.pcap rpc-dynamic-dropped:console.pcapng nat-black-hole:target-windows.pcap; do
    site=${case%%:*}.site.toml
    file=${case%%:*}.${case#*:}
    for format in json text line; do
        name=${case%%:*}-$format
        here "$name" verify --site "$site" "$file" --format $format
        wine "$name" verify --site "$site" "$file" --format $format
        same "$name"
    done
done

# Paths as they are typed on Windows. A path is shown as typed, so only that is allowed to differ.
cd "$work"
alike() {
    sed -e 's/captures\\\\/captures\//g; s/captures\\/captures\//g' "$work/$1.out" >"$work/$1.tmp"
    mv "$work/$1.tmp" "$work/$1.out"
}
here backslashes verify --site captures/rpc-dynamic-dropped.site.toml --format json captures/rpc-dynamic-dropped.console.pcapng
wine backslashes verify --site 'captures\rpc-dynamic-dropped.site.toml' --format json 'captures\rpc-dynamic-dropped.console.pcapng'
alike backslashes
same backslashes

drive="Z:$(pwd | sed 's,/,\\,g')\\captures"
wine drive verify --site "$drive\\site.toml" --at "console=$drive\\rpc-dynamic-dropped.console.pcapng" --format line
says drive 1 "portwitness FAIL 2/6 required in view; blocked: image.rpc-dynamic"

# cmd.exe hands patterns on as typed; names have no case.
here patterns verify --site captures/restore-clean.site.toml --format json captures/restore-clean.console.pcapng captures/restore-clean.mount-server.pcap captures/restore-clean.router.pcap captures/restore-clean.target-windows.pcap
wine patterns verify --site 'captures\restore-clean.site.toml' --format json 'captures\RESTORE-clean.*.pcap*'
alike patterns
same patterns

# A site's pattern with a slash claims a path with backslashes.
sed 's,captures = \["restore,captures = ["captures/Restore,' captures/restore-clean.site.toml >slashes.site.toml
wine slashes verify --site slashes.site.toml --format json 'captures\restore-clean.mount-server.pcap'
says slashes 0 '"observation_point": "mount-server"'

# A stream from a pipe, and what it ends in.
here stream verify --site captures/rpc-dynamic-dropped.site.toml --at console=- --format json <captures/rpc-dynamic-dropped.console.pcapng
wine stream watch --site 'captures\rpc-dynamic-dropped.site.toml' --at console=- --format json -o 'report.json' <captures/rpc-dynamic-dropped.console.pcapng
grep -q 'image.rpc-dynamic .*blocked' "$work/stream.out" || fail "stream: $(head -c 600 "$work/stream.out")"
grep -q 'end: the source ended' "$work/stream.out" || fail "stream has no end"
mv report.json "$work/stream.out"
alike stream
same stream

# Lines end as everywhere, and a site that was written by Notepad is read.
wine lines verify --site 'captures\site.toml' --at 'console=captures\rpc-dynamic-dropped.console.pcapng'
if grep -q "$(printf '\r')" "$work/lines.out"; then fail "lines: carriage returns"; else echo "ok   lines"; fi
{ printf '\357\273\277'; sed 's/$/\r/' captures/site.toml; } >notepad.toml
wine notepad verify --site notepad.toml --at 'console=captures\rpc-dynamic-dropped.console.pcapng'
expected=1
cp "$work/lines.out" "$work/notepad.expected"
sed -i 's/notepad\.toml/captures\\site.toml/g' "$work/notepad.out"
same notepad
{ sed 's/$/\r/' captures/site.toml; printf 'scenari = "plug-in"\r\n'; } >wrong.toml
wine wrong verify --site wrong.toml 'captures\rpc-dynamic-dropped.console.pcapng'
says wrong 2 "wrong.toml:"

# What goes wrong is told in plain words.
wine nothere verify 'C:\none\none.pcap'
says nothere 2 'C:\none\none.pcap'
wine interface watch -i eth0
says interface 2 'built without live capture'
wine doctor doctor
says doctor 1 'built without live capture'
wine colours verify --site 'captures\site.toml' --at 'console=captures\rpc-dynamic-dropped.console.pcapng' --color always
says colours 1 "$(printf '\033[')"

# Observations go both ways.
wine observe observe 'captures\rpc-dynamic-dropped.console.pcapng' -o theirs.obs
here both verify --site captures/site.toml --at console=theirs.obs --format line
"$native" observe captures/rpc-dynamic-dropped.console.pcapng -o ours.obs
wine both verify --site 'captures\site.toml' --at console=ours.obs --format line
sed -i 's/theirs.obs/ours.obs/; s/\\/\//g' "$work/both.out" "$work/both.expected"
same both

# Live capture: it links with what dlltool makes of Npcap's names. Nothing here can run it.
x86_64-w64-mingw32-dlltool -d "$here/wpcap.def" -l "$out/libwpcap.a"
RUSTFLAGS="--cfg npcap" build
x86_64-w64-mingw32-objdump -p "$out/$target/debug/portwitness.exe" >"$work/imports"
grep -q 'DLL Name: wpcap.dll' "$work/imports" && echo "ok   npcap links" || fail "npcap: not linked with wpcap.dll"

echo "run in $(($(date +%s) - began)) s"
[ "$failed" -eq 0 ] || { echo "windows: FAILED" >&2; exit 1; }
echo "windows: passed"
