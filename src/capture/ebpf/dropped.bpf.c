/* Tells which segments that open connections (SYN, SYN-ACK) this host's own kernel drops, and why. */
#include "inside.h"

struct record {
	u64 time;
	u32 reason;
	u8 flags, pad[3];
	u16 source, destination; /* network byte order, as the numbers */
	u32 seq, ack;
	u8 src[16], dst[16];
	u32 pad2;
};

struct {
	UINT(type, MAP_RINGBUF);
	UINT(max_entries, 1 << 18);
} ring SEC(".maps");

struct ipv4 {
	u8 version, tos;
	u16 length, id, fragment;
	u8 ttl, proto;
	u16 sum;
	u32 src, dst;
};

struct ipv6 {
	u32 version;
	u16 length;
	u8 proto, ttl, src[16], dst[16];
};

struct tcp {
	u16 src, dst;
	u32 seq, ack;
	u8 offset, flags;
};

enum { TCP = 6, SYN = 2 };

SEC("raw_tracepoint/kfree_skb")
int dropped(u64 *context)
{
	struct sk_buff *skb = (void *)context[0];
	struct ipv4 ip4;
	struct ipv6 ip6;
	struct tcp tcp;
	u8 *at = GET(skb, head) + GET(skb, network_header);
	u32 header = 0;
	if (read_kernel(&ip4, sizeof(ip4), at) < 0)
		return 0;
	if (ip4.version >> 4 == 4 && ip4.proto == TCP && !(ip4.fragment & SWAP16(0x1fff)))
		header = (ip4.version & 15) * 4;
	else if (ip4.version >> 4 == 6 && read_kernel(&ip6, sizeof(ip6), at) == 0 && ip6.proto == TCP)
		header = sizeof(ip6);
	if (!header || read_kernel(&tcp, sizeof(tcp), at + header) < 0 || !(tcp.flags & SYN))
		return 0;
	struct sock *sk = GET(skb, sk);
	struct net_device *dev = GET(skb, dev);
	struct net *net = 0;
	if (dev)
		net = GET(dev, nd_net.net);
	else if (sk)
		net = GET(sk, __sk_common.skc_net.net);
	if (!is_watched(net))
		return 0;
	struct record *r = ring_reserve(&ring, sizeof(*r), 0);
	if (!r)
		return 0;
	r->time = now_ns();
	r->reason = (u32)context[2];
	r->flags = tcp.flags;
	r->source = tcp.src;
	r->destination = tcp.dst;
	r->seq = tcp.seq;
	r->ack = tcp.ack;
	if (ip4.version >> 4 == 4) {
		mapped(r->src, ip4.src);
		mapped(r->dst, ip4.dst);
	} else {
		__builtin_memcpy(r->src, ip6.src, 16);
		__builtin_memcpy(r->dst, ip6.dst, 16);
	}
	ring_submit(r, RB_NO_WAKEUP);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* As host.rs reads it. */
_Static_assert(sizeof(struct record) == 64, "layout");
