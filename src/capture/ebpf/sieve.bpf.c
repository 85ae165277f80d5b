/* The sieve: counts data in order and the acknowledgements of it where they pass, and hands everything else up as frames.
 *
 * A socket filter on a packet socket. It always says 0, "keep nothing", so the socket never holds a packet; it cannot touch
 * traffic, and it is gone when the process that holds the socket is.
 *
 * What may be counted is what `Hot::plain` (src/flow/hot.rs) calls plain: of such packets only sums, last times, highest
 * numbers and ranges matter. A frame that rises carries a copy of its flow's counters from just before it, so user space
 * sees counted and risen packets of a flow in the order they passed. */
#include "kernel.h"

enum { IPV4 = 0x0800, IPV6 = 0x86dd, VLAN = 0x8100, QINQ = 0x88a8, QINQ_OLD = 0x9100 };
enum { TCP = 6, UDP = 17 };
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, ALL = 0x3f };
enum { BROADCAST = 1, MULTICAST = 2, OUTGOING = 4 };
enum { LOOPBACK = 1 };

/* First bytes of a side that always rise: as many as user space keeps. */
#define FIRST 8192
/* Packets in sequence that rise before any is counted: copies are looked for among so many. */
#define SETTLED 16
/* Rises of a number that user space keeps. */
#define MARKS 4
#define SILENCE 10000000000ULL
#define NEAR (1U << 30)
/* Counters of a busy flow are told so often, and before its numbers may wrap. */
#define TELL 250000000ULL
#define TELL_BYTES (1ULL << 28)
#define SPIN 4096

/* Sizes of records: headers alone, an ordinary frame, first bytes in a giant frame, all of a giant frame. */
#define HEADERS 160
#define ORDINARY 1664
#define FIRSTS 9216
#define WHOLE 65792

struct key {
	u64 a[2], b[2]; /* IPv4 as ::ffff:0:0/96 */
	u16 pa, pb;     /* network byte order, as the addresses */
	u32 zero;
};

/* What counted packets of one side changed, since the flow was met. */
struct side {
	u64 packets, ip_bytes, payload;
	u64 last, rose, acked; /* times: of the last one, of the highest number sent, of the highest acknowledgement sent */
	u32 edge, sent, ack;   /* end of the data, highest number sent, highest acknowledgement sent */
	u16 window_low, window_high;
};

/* What is remembered of one side's packets that rose. */
struct learnt {
	u64 told_packets, told_payload;
	u32 first;   /* payload in order that rose */
	u32 largest; /* payload of the largest segment */
	u32 device;
	u16 vlan, window;
	u8 seen, sents, acks, ttl_low, ttl_high, pad[3];
};

struct flow {
	struct side side[2];
	struct learnt learnt[2];
	u64 id, last, told;
	u32 lock, dead, risen, streak;
};

enum { FRAME = 0, COUNTERS = 1 };
enum { WITH_COUNTERS = 1, GONE = 2 };

struct record {
	u64 time, id;
	u32 device, wire, captured, risen;
	u16 protocol, vlan_protocol, vlan_tci, pad; /* the first two in network byte order */
	u8 kind, flags, packet_type, pad2[5];
	struct key key;
	struct side side[2];
};

struct {
	UINT(type, MAP_HASH);
	UINT(max_entries, 65536);
	UINT(map_flags, NO_PREALLOC);
	TYPE(key, struct key);
	TYPE(value, struct flow);
} flows SEC(".maps");

struct {
	UINT(type, MAP_RINGBUF);
	UINT(max_entries, 1 << 24);
} ring SEC(".maps");

struct {
	UINT(type, MAP_ARRAY);
	UINT(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, u64);
} lost SEC(".maps");

struct net {
	u32 length;
	u32 address[4];
};

struct {
	UINT(type, MAP_LPM_TRIE);
	UINT(max_entries, 4096);
	UINT(map_flags, NO_PREALLOC);
	TYPE(key, struct net);
	TYPE(value, u32);
} site SEC(".maps");

/* Set before loading. */
const volatile u32 framed = 0;     /* frames begin with an Ethernet header */
const volatile u32 filtered = 0;   /* only what may concern the addresses in `site` */
const volatile u32 wake_above = 0; /* bytes in the ring above which user space is woken */

static const struct flow fresh;

/* Counts frames that found no room. */
INLINE void count(u64 n)
{
	u32 first = 0;
	u64 *at = map_lookup(&lost, &first);
	if (at)
		__sync_fetch_and_add(at, n);
}

INLINE int lock(struct flow *flow)
{
	for (int i = 0; i < SPIN; i++)
		if (__sync_val_compare_and_swap(&flow->lock, 0, 1) == 0)
			return 1;
	return 0;
}

INLINE void unlock(struct flow *flow)
{
	__sync_lock_test_and_set(&flow->lock, 0);
}

/* A packet as far as it was looked at. */
struct seen {
	struct key key;
	u64 now;
	u32 seq, ack, payload, ip_bytes, device;
	u16 window, vlan;
	u8 ttl, flags, me, pad;
};

INLINE int is_of_site(const u64 *address)
{
	struct net net = { 128 };
	__builtin_memcpy(net.address, address, 16);
	return map_lookup(&site, &net) != 0;
}

/* Whether a packet is plain; `Hot::plain` has the reasons. */
INLINE int plain(const struct flow *flow, const struct seen *p)
{
	const struct side *own = &flow->side[p->me & 1], *peer = &flow->side[!p->me];
	const struct learnt *l = &flow->learnt[p->me & 1];
	int rises = p->seq != own->sent, acknowledges = p->ack != own->ack;
	return flow->risen >= SETTLED && flow->streak >= SETTLED && l->seen && flow->learnt[!p->me].seen &&
	       (p->flags | PSH) == (ACK | PSH) && p->window && p->now - flow->last < SILENCE &&
	       p->device == l->device && p->vlan == l->vlan && l->ttl_low <= p->ttl && p->ttl <= l->ttl_high &&
	       p->payload <= l->largest && p->seq == own->edge && (s32)(own->edge - own->sent) >= 0 &&
	       peer->edge - p->ack < NEAR &&
	       p->ack - own->ack < NEAR && (p->payload || rises || acknowledges) && (!rises || l->sents >= MARKS) &&
	       (!acknowledges || l->acks >= MARKS) && (!p->payload || l->first >= FIRST);
}

INLINE void add(struct flow *flow, const struct seen *p)
{
	struct side *own = &flow->side[p->me & 1];
	if (p->seq != own->sent)
		own->rose = p->now;
	if (p->ack != own->ack)
		own->acked = p->now;
	if (!own->packets) {
		own->window_low = own->window_high = p->window;
	} else {
		if (p->window < own->window_low)
			own->window_low = p->window;
		if (p->window > own->window_high)
			own->window_high = p->window;
	}
	own->packets++;
	own->ip_bytes += p->ip_bytes;
	own->payload += p->payload;
	own->last = p->now;
	own->sent = p->seq;
	own->ack = p->ack;
	own->edge = p->seq + p->payload;
	flow->last = p->now;
}

/* Learns from a packet that rises what the next ones are held against. */
INLINE void learn(struct flow *flow, const struct seen *p)
{
	struct side *own = &flow->side[p->me & 1];
	struct learnt *l = &flow->learnt[p->me & 1];
	u32 end = p->seq + p->payload;
	if (!l->seen) {
		l->seen = l->sents = l->acks = 1;
		l->ttl_low = l->ttl_high = p->ttl;
		own->sent = p->seq;
		own->ack = p->ack;
		own->edge = p->seq;
		own->rose = own->acked = p->now;
	}
	int rises = (s32)(p->seq - own->sent) > 0, acknowledges = (s32)(p->ack - own->ack) > 0;
	if (p->seq == own->edge) {
		l->first += l->first < FIRST ? p->payload : 0;
		flow->streak += p->payload || rises || acknowledges;
	}
	/* Bytes or a number that came before: copies of packets would look the same. */
	if (p->payload ? (s32)(p->seq - own->edge) < 0 : !rises && !acknowledges && p->window == l->window)
		flow->streak = 0;
	if (rises) {
		own->sent = p->seq;
		own->rose = p->now;
		l->sents += l->sents < MARKS;
	}
	if (acknowledges) {
		own->ack = p->ack;
		own->acked = p->now;
		l->acks += l->acks < MARKS;
	}
	/* The end of the data; before any was seen, of what was sent. */
	if (p->payload ? !l->largest || (s32)(end - own->edge) > 0 : !l->largest && (s32)(p->seq - own->edge) > 0)
		own->edge = end;
	if (p->payload > l->largest)
		l->largest = p->payload;
	if (p->ttl < l->ttl_low)
		l->ttl_low = p->ttl;
	if (p->ttl > l->ttl_high)
		l->ttl_high = p->ttl;
	l->device = p->device;
	l->vlan = p->vlan;
	l->window = p->window;
	flow->last = p->now;
	flow->risen++;
}

/* The counters of a flow go into a record. */
INLINE void tell(struct record *r, struct flow *flow, const struct seen *p)
{
	r->key = p->key;
	r->id = flow->id;
	r->risen = flow->risen;
	r->side[0] = flow->side[0];
	r->side[1] = flow->side[1];
	r->flags |= WITH_COUNTERS;
	flow->told = p->now;
	for (int i = 0; i < 2; i++) {
		flow->learnt[i].told_packets = flow->side[i].packets;
		flow->learnt[i].told_payload = flow->side[i].payload;
	}
}

INLINE u64 waking(void)
{
	return ring_query(&ring, RB_AVAIL_DATA) > wake_above ? RB_FORCE_WAKEUP : RB_NO_WAKEUP;
}

/* What became of handing a frame up. */
struct handed {
	struct flow *flow; /* locked, or none */
	const struct seen *p;
	u32 leaves; /* the flow is done with */
	u32 done;
};

INLINE void rise(const struct __sk_buff *skb, struct record *r, u32 room, struct handed *h)
{
	struct flow *flow = h->flow;
	if (!r)
		return;
	h->done = 1;
	r->kind = FRAME;
	r->flags = 0;
	r->id = 0;
	r->time = h->p->now;
	r->device = skb->ifindex;
	r->wire = skb->len;
	r->protocol = skb->protocol;
	r->vlan_protocol = skb->vlan_present ? skb->vlan_proto : 0;
	r->vlan_tci = skb->vlan_tci;
	r->packet_type = skb->pkt_type;
	if (flow) {
		tell(r, flow, h->p);
		if (h->leaves) {
			r->flags |= GONE;
			flow->dead = 1;
		} else {
			learn(flow, h->p);
		}
		unlock(flow);
		h->flow = 0;
	}
	u32 n = skb->len;
	OPAQUE(n);
	if (n > room)
		n = room;
	if (n == 0 || load_bytes(skb, 0, r + 1, n) < 0)
		n = 0;
	r->captured = n;
	ring_submit(r, waking());
}

/* Hands a frame up, `want` bytes of it. */
static __attribute__((noinline)) int hand_up(struct __sk_buff *skb, struct handed *h, u32 want)
{
	if (!h)
		return 0;
	if (want > skb->len)
		want = skb->len;
	if (want <= HEADERS)
		rise(skb, ring_reserve(&ring, sizeof(struct record) + HEADERS, 0), HEADERS, h);
	else if (want <= ORDINARY)
		rise(skb, ring_reserve(&ring, sizeof(struct record) + ORDINARY, 0), ORDINARY, h);
	else if (want <= FIRSTS)
		rise(skb, ring_reserve(&ring, sizeof(struct record) + FIRSTS, 0), FIRSTS, h);
	else
		rise(skb, ring_reserve(&ring, sizeof(struct record) + WHOLE, 0), WHOLE, h);
	return 0;
}

INLINE void lose(struct handed *h)
{
	u64 n = 1;
	struct flow *flow = h->flow;
	if (flow) {
		if (h->leaves) {
			/* Nobody will ask for these again. */
			for (int i = 0; i < 2; i++)
				n += flow->side[i].packets - flow->learnt[i].told_packets;
			flow->dead = 1;
		}
		unlock(flow);
	}
	count(n);
}

/* Counts the packet where that may be done; otherwise `h` has what is needed to hand it up, and this says how much of it. */
INLINE u32 sift(struct handed *h, struct seen *p, struct flow *flow)
{
	/* The endpoint mapper may be asked many times in one connection: all of it rises. */
	int mapper = p->key.pa == SWAP16(135) || p->key.pb == SWAP16(135);
	int ends = p->flags & (SYN | FIN | RST);
	if (!flow && p->payload && !ends && (p->flags & ACK) && !mapper) {
		/* Where the map is full, all of the flow rises. */
		map_update(&flows, &p->key, &fresh, BPF_NOEXIST);
		flow = map_lookup(&flows, &p->key);
	}
	if (!flow)
		return mapper ? WHOLE : p->payload ? FIRSTS : HEADERS;
	/* A frame that rose past the lock would rise out of order: rather none, and to be told. Nobody holds it that long. */
	if (!lock(flow)) {
		count(1);
		return 0;
	}
	if (flow->dead) {
		unlock(flow);
		return FIRSTS;
	}
	/* Under the lock, so that the flow's times are in the order of its packets. */
	p->now = now_ns();
	if (!flow->id)
		flow->id = p->now;
	if (!ends && plain(flow, p)) {
		add(flow, p);
		struct side *own = &flow->side[p->me & 1];
		u64 untold = own->payload - flow->learnt[p->me & 1].told_payload;
		if (p->now - flow->told > TELL || untold > TELL_BYTES) {
			struct record *r = ring_reserve(&ring, sizeof(struct record), 0);
			/* Without room it is told later. */
			if (r) {
				r->kind = COUNTERS;
				r->flags = 0;
				r->time = p->now;
				r->captured = 0;
				tell(r, flow, p);
				ring_submit(r, waking());
			}
		}
		unlock(flow);
		return 0;
	}
	h->flow = flow;
	h->leaves = ends;
	return p->payload && flow->learnt[p->me & 1].first < FIRST ? FIRSTS : HEADERS;
}

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
	u8 proto, ttl;
	u64 src[2], dst[2];
};

struct tcp {
	u16 src, dst;
	u32 seq, ack;
	u8 offset, flags;
	u16 window;
	u32 rest;
};

/* What is not of the site: TCP and UDP of others that carry nothing. The rest may concern it whatever its addresses. */
INLINE int is_foreign(const struct __sk_buff *skb, u32 at, u8 proto, int whole, const u64 *src, const u64 *dst)
{
	if (!filtered || is_of_site(src) || is_of_site(dst))
		return 0;
	if (proto == 4 || proto == 41 || proto == 47 || proto == 1 || proto == 58)
		return 0;
	u16 ports[2] = { 0, 0 };
	if (proto != UDP || !whole || load_bytes(skb, at, ports, 4) < 0)
		return 1;
	for (int i = 0; i < 2; i++) {
		u16 port = SWAP16(ports[i]);
		if (port == 4789 || port == 6081 || port == 2152 || port == 3544)
			return 0;
	}
	return 1;
}

INLINE int is_before(const u64 *a, u16 pa, const u64 *b, u16 pb)
{
	if (a[0] != b[0])
		return a[0] < b[0];
	if (a[1] != b[1])
		return a[1] < b[1];
	return SWAP16(pa) <= SWAP16(pb); /* a host that talks to itself from one port is one side */
}

SEC("socket")
int sieve(struct __sk_buff *skb)
{
	/* What a host sends to itself is seen when it arrives. */
	if (skb->ifindex == LOOPBACK && skb->pkt_type == OUTGOING)
		return 0;
	struct seen p = {};
	struct handed h = { .p = &p };
	u32 want = FIRSTS, at = framed ? 14 : 0, total = 0, upper = 0, ports = 0;
	struct tcp tcp = {};
	int whole = 1;
	u8 proto;
	u16 type = skb->protocol;
	int tags = 0;
	p.device = skb->ifindex;
	if (skb->vlan_present) {
		p.vlan = 0x8000 | (skb->vlan_tci & 0xfff);
		tags = 1;
	}
	if (type == SWAP16(VLAN) || type == SWAP16(QINQ) || type == SWAP16(QINQ_OLD)) {
		u16 tag[2];
		if (load_bytes(skb, at, tag, 4) < 0)
			goto up;
		p.vlan = 0x8000 | (SWAP16(tag[0]) & 0xfff);
		type = tag[1];
		at += 4;
		tags++;
	}
	u64 src[2] = {}, dst[2] = {};
	int usual = tags < 2 && skb->pkt_type != BROADCAST && skb->pkt_type != MULTICAST;
	if (type == SWAP16(IPV4)) {
		struct {
			struct ipv4 ip;
			struct tcp tcp;
		} both;
		/* Both headers in one go; a packet may be too short for the second. */
		if (load_bytes(skb, at, &both, sizeof(both)) == 0)
			tcp = both.tcp;
		else if (load_bytes(skb, at, &both.ip, sizeof(both.ip)) < 0)
			goto up;
		struct ipv4 ip = both.ip;
		src[1] = (u64)ip.src << 32 | 0xffff0000;
		dst[1] = (u64)ip.dst << 32 | 0xffff0000;
		whole = !(ip.fragment & SWAP16(0x3fff));
		proto = ip.proto;
		upper = at + 20;
		ports = at + (ip.version & 15) * 4;
		total = SWAP16(ip.length);
		p.ttl = ip.ttl;
		if (ip.version != 0x45 || ip.proto != TCP || !whole || (u8)ip.dst >= 0xe0)
			usual = 0;
	} else if (type == SWAP16(IPV6)) {
		struct {
			struct ipv6 ip;
			struct tcp tcp;
		} both;
		if (load_bytes(skb, at, &both, sizeof(both)) == 0)
			tcp = both.tcp;
		else if (load_bytes(skb, at, &both.ip, sizeof(both.ip)) < 0)
			goto up;
		struct ipv6 ip = both.ip;
		__builtin_memcpy(src, ip.src, 16);
		__builtin_memcpy(dst, ip.dst, 16);
		proto = ip.proto;
		ports = upper = at + 40;
		total = 40 + SWAP16(ip.length);
		p.ttl = ip.ttl;
		if (ip.proto != TCP || !ip.length || (u8)ip.dst[0] == 0xff)
			usual = 0;
	} else {
		/* Frames with labels or further tags may carry anything; address resolution and the like carry no flows. */
		if (filtered && !(type == SWAP16(0x8847) || type == SWAP16(0x8848) || type == SWAP16(0x8864) ||
				  type == SWAP16(VLAN) || type == SWAP16(QINQ) || type == SWAP16(0x88e7)))
			return 0;
		goto up;
	}
	u32 header = 0;
	if (usual && total <= skb->len - at && tcp.offset >= 0x50)
		header = (upper - at) + (tcp.offset >> 4) * 4;
	if (!header || header > total) {
		if (is_foreign(skb, ports, proto, whole, src, dst))
			return 0;
		goto up;
	}
	p.flags = tcp.flags & ALL;
	p.seq = SWAP32(tcp.seq);
	p.ack = SWAP32(tcp.ack);
	p.window = SWAP16(tcp.window);
	p.ip_bytes = total;
	p.payload = total - header;
	if (is_before(src, tcp.src, dst, tcp.dst)) {
		__builtin_memcpy(p.key.a, src, 16);
		__builtin_memcpy(p.key.b, dst, 16);
		p.key.pa = tcp.src;
		p.key.pb = tcp.dst;
	} else {
		__builtin_memcpy(p.key.a, dst, 16);
		__builtin_memcpy(p.key.b, src, 16);
		p.key.pa = tcp.dst;
		p.key.pb = tcp.src;
		p.me = 1;
	}
	/* Flows that are known are the site's. */
	struct flow *flow = map_lookup(&flows, &p.key);
	if (!flow && is_foreign(skb, ports, proto, whole, src, dst))
		return 0;
	want = sift(&h, &p, flow);
	if (!want)
		return 0;
up:
	if (!p.now)
		p.now = now_ns();
	hand_up(skb, &h, want);
	if (!h.done)
		lose(&h);
	if (h.leaves)
		map_delete(&flows, &p.key);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* As record.rs reads them. */
_Static_assert(sizeof(struct key) == 40 && sizeof(struct side) == 64, "layout");
_Static_assert(sizeof(struct record) == 216 && __builtin_offsetof(struct record, key) == 48, "layout");
_Static_assert(sizeof(struct flow) == 248 && __builtin_offsetof(struct flow, id) == 208, "layout");
_Static_assert(__builtin_offsetof(struct flow, risen) == 240, "layout");
