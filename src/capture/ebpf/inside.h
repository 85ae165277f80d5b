/* The little of the kernel's own structures that the probes look at. Only names count: where the fields are in the running
 * kernel is looked up in its BTF when a program is loaded. */
#pragma once
#include "kernel.h"

struct ns_common {
	u32 inum;
} CORE;

struct net {
	struct ns_common ns;
} CORE;

typedef struct {
	struct net *net;
} CORE possible_net_t;

struct in6_addr {
	u8 octets[16];
};

struct sock_common {
	u32 skc_daddr, skc_rcv_saddr;
	u16 skc_dport; /* network byte order */
	u16 skc_num;
	u16 skc_family;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
} CORE;

struct sock {
	struct sock_common __sk_common;
} CORE;

struct net_device {
	possible_net_t nd_net;
} CORE;

struct sk_buff {
	struct sock *sk;
	struct net_device *dev;
	u8 *head;
	u16 network_header;
} CORE;

/* Reads a field, or nothing but zeros. */
#define GET(from, field)                                                                          \
	({                                                                                        \
		typeof((from)->field) got_;                                                       \
		__builtin_memset(&got_, 0, sizeof(got_));                                         \
		read_kernel(&got_, sizeof(got_), __builtin_preserve_access_index(&(from)->field)); \
		got_;                                                                             \
	})

enum { INET = 2, INET6 = 10 };

/* Namespace of the network that is watched: the probes see all of the machine. */
const volatile u32 netns = 0;

INLINE int is_watched(struct net *net)
{
	return net && GET(net, ns.inum) == netns;
}

/* An IPv4 address as ::ffff:0:0/96. */
INLINE void mapped(u8 *to, u32 address)
{
	__builtin_memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &address, 4);
}
