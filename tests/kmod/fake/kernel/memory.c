/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * malloc(9).  Every block has its own pages, which are followed by an
 * inaccessible page and become inaccessible when the block is freed.  An access
 * after its end or after it was freed faults immediately.
 */

#include "kernel.h"

#define	ALIGNMENT	16
#define	MARGIN		0x5a		/* between block and end of page */
#define	GARBAGE		0xa5		/* memory without M_ZERO */
#define	FAKE_PAGE	4096UL
#define	QUARANTINE	512

/* In a page before those of the block. */
struct block {
	LIST_ENTRY(block) link;
	struct malloc_type *type;
	char		*start;
	size_t		size;
	size_t		mapped;
};

static LIST_HEAD(, block) blocks = LIST_HEAD_INITIALIZER(blocks);
static unsigned long bytes, peak;
static unsigned long fail_after = ULONG_MAX, nowait_count;

/* Freed blocks whose pages stay inaccessible for a while. */
static struct {
	void	*start;
	size_t	mapped;
} freed[QUARANTINE];
static unsigned freed_count;

static struct block *
block_of(void *start)
{
	uintptr_t page = rounddown2((uintptr_t)start, FAKE_PAGE);

	return ((struct block *)(page - FAKE_PAGE));
}

static size_t
margin(const struct block *block)
{
	return (roundup2(block->size, ALIGNMENT) - block->size);
}

void *
guarded(size_t size)
{
	struct block *block;
	size_t pages;
	char *map;

	if (size == 0)
		fail("an allocation of 0 bytes");
	pages = roundup2(size, FAKE_PAGE);
	map = host_map(pages + 2 * FAKE_PAGE);
	host_forbid(map + FAKE_PAGE + pages, FAKE_PAGE);
	block = (struct block *)map;
	block->size = size;
	block->mapped = pages + 2 * FAKE_PAGE;
	block->start = map + FAKE_PAGE + pages - roundup2(size, ALIGNMENT);
	memset(block->start + size, MARGIN, margin(block));
	return (block->start);
}

void
guarded_free(void *start)
{
	struct block *block = block_of(start);
	size_t i;

	if (block->start != start)
		fail("memory is freed that was not allocated");
	for (i = 0; i < margin(block); i++)
		if (block->start[block->size + i] != MARGIN)
			fail("bytes after a block of %zu were written",
			    block->size);
	host_enter();
	i = freed_count++ % QUARANTINE;
	if (freed[i].start != NULL)
		host_unmap(freed[i].start, freed[i].mapped);
	freed[i].start = block;
	freed[i].mapped = block->mapped;
	host_forbid(block, block->mapped);
	host_leave();
}

void
malloc_init(void *arg)
{
	struct malloc_type *type = arg;

	if (type->ks_version != M_VERSION)
		fail("malloc type with another version");
	if (type->ks_next != NULL)
		fail("malloc type \"%s\" is initialized twice",
		    type->ks_shortdesc);
	type->ks_next = type;
}

void
malloc_uninit(void *arg)
{
	struct malloc_type *type = arg;
	struct block *block;

	LIST_FOREACH(block, &blocks, link)
		if (block->type == type)
			fail("leak: %zu bytes of malloc type \"%s\" are left",
			    block->size, type->ks_shortdesc);
	type->ks_next = NULL;
}

void *
(malloc)(size_t size, struct malloc_type *type, int flags)
{
	struct block *block;
	void *start;
	int wait;

	wait = flags & (M_WAITOK | M_NOWAIT);
	if (wait != M_WAITOK && wait != M_NOWAIT)
		fail("malloc(%#x): neither M_WAITOK nor M_NOWAIT, or both", wait);
	if ((flags & ~(M_WAITOK | M_NOWAIT | M_ZERO)) != 0)
		fail("malloc(%#x): unsupported flags", flags);
	if (type->ks_next == NULL)
		fail("malloc type \"%s\" is not initialized",
		    type->ks_shortdesc);
	if (wait == M_WAITOK)
		may_sleep("malloc(M_WAITOK)");
	else
		count_call("malloc nowait");
	host_enter();
	if (wait == M_NOWAIT && nowait_count++ >= fail_after) {
		host_leave();
		return (NULL);
	}
	start = guarded(size);
	block = block_of(start);
	block->type = type;
	LIST_INSERT_HEAD(&blocks, block, link);
	bytes += size;
	peak = MAX(peak, bytes);
	host_leave();
	/* New pages are zero. */
	if ((flags & M_ZERO) == 0)
		memset(start, GARBAGE, size);
	return (start);
}

void
free(void *start, struct malloc_type *type)
{
	struct block *block;

	if (start == NULL)
		return;
	host_enter();
	block = block_of(start);
	if (block->type != type)
		fail("memory is freed with another malloc type");
	LIST_REMOVE(block, link);
	bytes -= block->size;
	guarded_free(start);
	host_leave();
}

unsigned long
fake_memory_bytes(void)
{
	return (bytes);
}

/* Returns the maximum number of bytes since the last call. */
unsigned long
fake_memory_peak(void)
{
	unsigned long most = peak;

	peak = bytes;
	return (most);
}

void
fake_memory_fail(unsigned long after)
{
	nowait_count = 0;
	fail_after = after;
}
