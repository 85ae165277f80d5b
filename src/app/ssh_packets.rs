//! What SSH says in the clear between its identification and its keys: algorithms offered (RFC 4253 section 7.1) and why a side
//! left (section 11.1). After SSH_MSG_NEWKEYS everything is encrypted.

use super::reader::Reader;
use crate::base::WireText;

const DISCONNECT: u8 = 1;
const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;

/// Longest packet that every implementation takes (RFC 4253 section 6.1).
const MAX_PACKET: usize = 35_000;
/// Packets looked at.
const MAX_PACKETS: usize = 32;
/// Name lists of SSH_MSG_KEXINIT that are compared: key exchange, host key, two ciphers, two MACs, two compressions.
const LISTS: usize = 8;

/// What one side said before its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told<'a> {
    offer: Option<[&'a [u8]; LISTS]>,
    /// Index of the offer's last byte.
    pub(super) offered: usize,
    pub(super) disconnect: Option<Disconnect>,
    new_keys: bool,
}

/// Why a side left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disconnect {
    pub(super) reason: u32,
    pub(super) text: Option<WireText>,
    /// Index of its last byte.
    pub(super) last: usize,
}

/// Reads the packets behind the identification in a side's bytes.
pub(super) fn read(bytes: &[u8]) -> Told<'_> {
    let mut told = Told::default();
    let Some(start) = behind_identification(bytes) else { return told };
    let mut r = Reader::big(bytes.get(start..).unwrap_or_default());
    for _ in 0..MAX_PACKETS {
        let Some(payload) = packet(&mut r) else { break };
        let last = (bytes.len() - r.rest().len()).saturating_sub(1);
        match payload.split_first() {
            Some((&DISCONNECT, body)) => {
                told.disconnect = disconnect(body, last);
                break;
            }
            Some((&KEXINIT, body)) => (told.offer, told.offered) = (lists(body), last),
            Some((&NEWKEYS, _)) => {
                told.new_keys = true;
                break;
            }
            Some(_) => {}
            None => break,
        }
    }
    told
}

fn behind_identification(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        at += line.len();
        if line.starts_with(b"SSH-") {
            return (line.last() == Some(&b'\n')).then_some(at);
        }
    }
    None
}

/// The payload of the next whole packet (RFC 4253 section 6).
fn packet<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = usize::try_from(r.u32()?).ok().filter(|n| (2..=MAX_PACKET).contains(n))?;
    let body = r.take(length)?;
    let (padding, rest) = body.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(*padding))?)
}

fn disconnect(body: &[u8], last: usize) -> Option<Disconnect> {
    let mut r = Reader::big(body);
    let reason = r.u32()?;
    let text = r.u32().and_then(|n| r.take(usize::try_from(n).ok()?)).filter(|t| !t.is_empty()).map(WireText::new);
    Some(Disconnect { reason, text, last })
}

fn lists(body: &[u8]) -> Option<[&[u8]; LISTS]> {
    let mut r = Reader::big(body);
    // The cookie.
    r.skip(16)?;
    let mut all: [&[u8]; LISTS] = [&[]; LISTS];
    for list in &mut all {
        let n = usize::try_from(r.u32()?).ok()?;
        *list = r.take(n)?;
    }
    Some(all)
}

/// What two offers have no method in common for; `None` where they agree, where an offer was not seen, or keys are in use.
pub(super) fn disagreement(a: &Told<'_>, b: &Told<'_>) -> Option<&'static str> {
    let (Some(x), Some(y)) = (&a.offer, &b.offer) else { return None };
    if a.new_keys || b.new_keys {
        return None;
    }
    let shared = |i: usize, fits: &dyn Fn(&[u8]) -> bool| {
        let (x, y) = (x.get(i).copied().unwrap_or_default(), y.get(i).copied().unwrap_or_default());
        names(x).any(|n| fits(n) && names(y).any(|m| m == n))
    };
    let any = |i| shared(i, &|_| true);
    // Ciphers that authenticate need no MAC.
    let needs_mac = |i| !shared(i, &|n| n.ends_with(b"gcm@openssh.com") || n.starts_with(b"chacha20-poly1305"));
    match () {
        () if !shared(0, &is_method) => Some("key exchange"),
        () if !any(1) => Some("host key"),
        () if !any(2) || !any(3) => Some("cipher"),
        () if (needs_mac(2) && !any(4)) || (needs_mac(3) && !any(5)) => Some("MAC"),
        () if !any(6) || !any(7) => Some("compression"),
        () => None,
    }
}

/// Entries that announce an extension are no method (RFC 8308 section 2.1; OpenSSH PROTOCOL, section 1.10).
fn is_method(name: &[u8]) -> bool {
    !name.starts_with(b"ext-info-") && !name.starts_with(b"kex-strict-")
}

fn names(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| *b == b',').filter(|n| !n.is_empty())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn framed(payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len() + 5).unwrap();
        [&length.to_be_bytes()[..], &[4], payload, &[0; 4]].concat()
    }

    fn string(s: &str) -> Vec<u8> {
        [&u32::try_from(s.len()).unwrap().to_be_bytes()[..], s.as_bytes()].concat()
    }

    /// An identification and an offer.
    pub(in crate::app) fn offer(kex: &str, cipher: &str, mac: &str) -> Vec<u8> {
        let lists = [kex, "ssh-ed25519", cipher, cipher, mac, mac, "none", "none", "", ""];
        let lists: Vec<u8> = lists.iter().flat_map(|l| string(l)).collect();
        [b"SSH-2.0-test\r\n".to_vec(), framed(&[&[KEXINIT][..], &[7; 16], &lists, &[0; 5]].concat())].concat()
    }

    /// A reason to leave.
    pub(in crate::app) fn leave(reason: u8, text: &str) -> Vec<u8> {
        framed(&[&[DISCONNECT, 0, 0, 0, reason][..], &string(text), &string("")].concat())
    }

    #[test]
    fn two_offers_without_a_common_method_disagree() {
        let ours = offer("curve25519-sha256,kex-strict-c-v00@openssh.com", "aes128-ctr", "hmac-sha2-256");
        let told = |kex, cipher, mac| {
            let theirs = offer(kex, cipher, mac);
            disagreement(&read(&ours), &read(&theirs))
        };
        assert_eq!(told("curve25519-sha256", "aes128-ctr", "hmac-sha2-256"), None);
        assert_eq!(told("diffie-hellman-group1-sha1", "aes128-ctr", "hmac-sha2-256"), Some("key exchange"));
        assert_eq!(told("kex-strict-c-v00@openssh.com", "aes128-ctr", "hmac-sha2-256"), Some("key exchange"));
        assert_eq!(told("curve25519-sha256", "aes256-cbc", "hmac-sha2-256"), Some("cipher"));
        assert_eq!(told("curve25519-sha256", "aes128-ctr", "hmac-md5"), Some("MAC"));
        let sealed = offer("a", "aes128-gcm@openssh.com", "x");
        let other = offer("a", "aes128-gcm@openssh.com", "y");
        assert_eq!(disagreement(&read(&sealed), &read(&other)), None, "no MAC is needed");
        let keys = [other, framed(&[NEWKEYS])].concat();
        assert_eq!(disagreement(&read(&ours), &read(&keys)), None, "keys are in use");
    }

    #[test]
    fn a_reason_to_leave_is_read_before_keys_and_not_after() {
        let hello = offer("a", "b", "c");
        let bytes = [hello.clone(), leave(12, "too many")].concat();
        let d = read(&bytes).disconnect.unwrap();
        assert_eq!((d.reason, d.text.unwrap().terminal(), d.last), (12, "too many".to_owned(), bytes.len() - 1));
        assert_eq!(read(&[hello, framed(&[NEWKEYS]), leave(12, "x")].concat()).disconnect, None);
        assert_eq!(read(b"SSH-2.0-x\r\n\xff\xff\xff\xff"), Told::default());
    }
}
