/* Tells which process opens a TCP connection, and which one listens. */
#include "inside.h"

struct qstr {
	const u8 *name;
} CORE;

struct dentry {
	struct qstr d_name;
} CORE;

struct path {
	struct dentry *dentry;
} CORE;

struct file {
	struct path f_path;
} CORE;

struct mm_struct {
	struct file *exe_file;
} CORE;

struct kernfs_node {
	const char *name;
} CORE;

struct cgroup {
	struct kernfs_node *kn;
} CORE;

struct css_set {
	struct cgroup *dfl_cgrp;
} CORE;

struct task_struct {
	struct mm_struct *mm;
	struct css_set *cgroups;
} CORE;

struct record {
	u64 time, socket;
	u32 pid; /* 0 where it has none that this program could name */
	u8 before, after, pad[2];
	u16 local; /* this host's byte order */
	u16 remote; /* network byte order */
	u8 src[16], dst[16];
	char program[64], unit[64];
	u32 pad2;
};

struct {
	UINT(type, MAP_RINGBUF);
	UINT(max_entries, 1 << 18);
} ring SEC(".maps");

/* Namespace of the process numbers that are told. */
const volatile u64 pidns_device = 0, pidns = 0;

struct ids {
	u32 thread, process;
};

enum { ESTABLISHED = 1, SYN_SENT = 2, CLOSED = 7, LISTENING = 10 };

SEC("raw_tracepoint/inet_sock_set_state")
int opened(u64 *context)
{
	struct sock *sk = (void *)context[0];
	int before = (int)context[1], after = (int)context[2];
	/* Of a connection the process is known when it begins, its own port only once something became of it. */
	int told = after == SYN_SENT || after == LISTENING ||
		   (before == SYN_SENT && (after == ESTABLISHED || after == CLOSED));
	if (!told || !is_watched(GET(sk, __sk_common.skc_net.net)))
		return 0;
	struct record *r = ring_reserve(&ring, sizeof(*r), 0);
	if (!r)
		return 0;
	r->time = now_ns();
	r->socket = (u64)sk;
	struct ids ids = {};
	r->pid = ns_pid_tgid(pidns_device, pidns, &ids, sizeof(ids)) < 0 ? 0 : ids.process;
	r->before = before;
	r->after = after;
	r->local = GET(sk, __sk_common.skc_num);
	r->remote = GET(sk, __sk_common.skc_dport);
	if (GET(sk, __sk_common.skc_family) == INET6) {
		struct in6_addr own = GET(sk, __sk_common.skc_v6_rcv_saddr), other = GET(sk, __sk_common.skc_v6_daddr);
		__builtin_memcpy(r->src, &own, 16);
		__builtin_memcpy(r->dst, &other, 16);
	} else {
		mapped(r->src, GET(sk, __sk_common.skc_rcv_saddr));
		mapped(r->dst, GET(sk, __sk_common.skc_daddr));
	}
	struct task_struct *task = current_task();
	r->program[0] = r->unit[0] = 0;
	struct mm_struct *mm = GET(task, mm);
	struct file *file = mm ? GET(mm, exe_file) : 0;
	struct dentry *dentry = file ? GET(file, f_path.dentry) : 0;
	if (!dentry || read_kernel_str(r->program, sizeof(r->program), GET(dentry, d_name.name)) < 0)
		current_comm(r->program, 16);
	struct css_set *groups = GET(task, cgroups);
	struct cgroup *group = groups ? GET(groups, dfl_cgrp) : 0;
	struct kernfs_node *node = group ? GET(group, kn) : 0;
	if (node)
		read_kernel_str(r->unit, sizeof(r->unit), GET(node, name));
	ring_submit(r, RB_NO_WAKEUP);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* As host.rs reads it. */
_Static_assert(sizeof(struct record) == 192, "layout");
