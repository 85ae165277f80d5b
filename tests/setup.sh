#!/bin/sh
# Installs the Debian packages that the restore lab (tests/lab) needs; does nothing when all are there.
#
# Their daemons must not be started by the system: the lab starts its own, inside its own namespaces.
# So while packages are installed, a policy-rc.d says no to every start; whatever policy was there
# before is put back. Asks first, unless CI is set or there is no terminal to ask at.
set -eu

packages="
    bpftool clang curl python3 nfpcapd:nfdump dumpcap:wireshark-common editcap:wireshark-common ethtool ip:iproute2 mount nft:nftables openssl pcap-config:libpcap-dev rpcclient:smbclient
    samba-dcerpcd:samba smbclient smbd:samba smbpasswd:samba-common-bin ssh:openssh-client
    setpriv:util-linux sshd:openssh-server tcpdump tgtd:tgt tmux tshark unshare:util-linux zstd
"
PATH="$PATH:/usr/sbin:/sbin:/usr/libexec/samba:/usr/lib/x86_64-linux-gnu/samba"

# A row is "program:package", or one word where both have the same name. Asking for programs is much
# faster than asking the package manager, and also right where one was installed by other means.
missing=""
for row in $packages; do
    package=${row#*:}
    command -v "${row%%:*}" >/dev/null 2>&1 && continue
    case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
done
if [ -z "$missing" ]; then
    echo "lab: all programs are there"
    exit 0
fi

echo "lab: to install:$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "lab: no apt-get here; install the equivalents of these packages by hand" >&2
    exit 1
fi
if [ "${CI:-}" != true ] && [ -t 0 ]; then
    printf 'Install them now? [y/N] '
    read -r answer
    case "$answer" in y | Y | yes) ;; *) echo "lab: nothing installed"; exit 1 ;; esac
fi

root=""
[ "$(id -u)" -eq 0 ] || root=sudo

policy=/usr/sbin/policy-rc.d
saved=""
restore() {
    $root rm -f "$policy"
    [ -z "$saved" ] || $root mv "$saved" "$policy"
}
if [ -e "$policy" ] || [ -L "$policy" ]; then
    saved="$policy.before-lab.$$"
    $root mv "$policy" "$saved"
fi
trap restore EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null
$root chmod 755 "$policy"

$root env DEBIAN_FRONTEND=noninteractive apt-get -q update
# shellcheck disable=SC2086  # a list of words is meant
$root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing
