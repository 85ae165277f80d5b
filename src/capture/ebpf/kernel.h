/* What the programs need of the kernel's interface to user space (linux/bpf.h, linux/if_ether.h and others). Written down
 * here because all of it is stable, and so no headers have to be installed to build this. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define CORE __attribute__((preserve_access_index))

/* Maps, as BTF describes them. */
#define UINT(name, value) int(*name)[value]
#define TYPE(name, value) typeof(value) *name

enum { MAP_HASH = 1, MAP_ARRAY = 2, MAP_LPM_TRIE = 11, MAP_RINGBUF = 27 };
enum { NO_PREALLOC = 1 };
enum { BPF_NOEXIST = 1 };
enum { RB_NO_WAKEUP = 1, RB_FORCE_WAKEUP = 2, RB_AVAIL_DATA = 0 };

struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
	u32 vlan_present;
	u32 vlan_tci;
	u32 vlan_proto;
	u32 priority;
	u32 ingress_ifindex;
	u32 ifindex;
};

static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static long (*map_update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*map_delete)(void *map, const void *key) = (void *)3;
static u64 (*now_ns)(void) = (void *)5;
static long (*current_comm)(void *to, u32 size) = (void *)16;
static long (*load_bytes)(const struct __sk_buff *skb, u32 at, void *to, u32 len) = (void *)26;
static void *(*current_task)(void) = (void *)35;
static long (*ns_pid_tgid)(u64 dev, u64 inode, void *to, u32 size) = (void *)120;
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*read_kernel_str)(void *to, u32 size, const void *from) = (void *)115;
static void *(*ring_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*ring_submit)(void *record, u64 flags) = (void *)132;
static u64 (*ring_query)(void *ring, u64 flags) = (void *)134;

/* Network byte order on little-endian hosts: the only ones that are built for. */
#define SWAP16(n) __builtin_bswap16(n)
#define SWAP32(n) __builtin_bswap32(n)
/* Keeps the compiler from undoing a bound that the verifier has to see. */
#define OPAQUE(n) asm volatile("" : "+r"(n))
