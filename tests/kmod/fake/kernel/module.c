/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 The siftr_cdev maintainers */

/*
 * What the kernel's linker does with a module: it checks the dependencies,
 * registers the sysctls, runs the initialization in order, and undoes all of
 * that.
 *
 * The module is linked into this program, so a load starts by restoring its
 * data from a copy of the original contents.
 */

#include "kernel.h"

SET(sysinit_set, struct sysinit);
SET(sysuninit_set, struct sysinit);
SET(modmetadata_set, const struct mod_metadata);

/* The module's data.  build.sh names the sections. */
extern char __start_module_data[], __stop_module_data[];
extern char __start_module_bss[], __stop_module_bss[];

/* The linker's file of the module, and that of another module. */
static struct linker_file this_file, another_file;
static struct module *const this_module = (struct module *)&this_file;

static char *file_data;
static bool loaded;
static const moduledata_t *module;
static int load_error;
static unsigned locks_before;

static void
restore_data(void)
{
	size_t size = __stop_module_data - __start_module_data;

	if (file_data == NULL) {
		file_data = host_map(size);
		memcpy(file_data, __start_module_data, size);
	}
	memcpy(__start_module_data, file_data, size);
	memset(__start_module_bss, 0, __stop_module_bss - __start_module_bss);
}

/* Returns whether the module was built for this kernel. */
static bool
suits(int version)
{
	const struct mod_metadata **metadata;
	const struct mod_depend *depend;
	bool named = false;

	FOREACH(metadata, modmetadata_set) {
		if ((*metadata)->md_type != MDT_DEPEND ||
		    strcmp((*metadata)->md_cval, "kernel") != 0)
			continue;
		named = true;
		depend = (*metadata)->md_data;
		if (version < depend->md_ver_minimum ||
		    version > depend->md_ver_maximum)
			return (false);
	}
	if (!named)
		fail("the module does not depend on a kernel version");
	return (true);
}

/* Runs functions by subsystem and order, or in reverse. */
static void
run_in_order(struct sysinit **start, struct sysinit **stop, bool backwards)
{
	struct sysinit *sorted[16], *next;
	unsigned count = stop - start, i, j;
	uint64_t key, other;

	if (count > nitems(sorted))
		fail("more than %zu sysinits", nitems(sorted));
	for (i = 0; i < count; i++) {
		next = start[i];
		key = (uint64_t)next->subsystem << 32 | next->order;
		for (j = i; j > 0; j--) {
			other = (uint64_t)sorted[j - 1]->subsystem << 32 |
			    sorted[j - 1]->order;
			if (backwards ? other >= key : other <= key)
				break;
			sorted[j] = sorted[j - 1];
		}
		sorted[j] = next;
	}
	for (i = 0; i < count; i++)
		sorted[i]->func(__DECONST(void *, sorted[i]->udata));
}

void
module_register_init(const void *arg)
{
	const moduledata_t *data = arg;

	module = data;
	load_error = data->evhand(this_module, MOD_LOAD, data->priv);
	if (load_error != 0) {
		(void)data->evhand(this_module, MOD_UNLOAD, data->priv);
		module = NULL;
	}
}

linker_file_t
module_file(module_t module)
{
	if (module != this_module)
		fail("module_file() of another module");
	return (&this_file);
}

static void
finish_unload(void)
{
	check_events_after_unload();
	if (references_alive() != 0)
		fail("%u references to connections are left after the unload",
		    references_alive());
	if (fake_stacks_changed() != 0)
		fail("functions of a TCP stack are not restored after the unload");
	if (fake_stack_references() != 0)
		fail("references to TCP stacks are left after the unload");
	if (credentials_held() != 0)
		fail("%u references to credentials are left after the unload",
		    credentials_held());
	unregister_sysctls();
	run_in_order(sysuninit_set_start, sysuninit_set_stop, true);
	if (devices_alive() != 0)
		fail("a device is left after the unload");
	if (fake_memory_bytes() != 0)
		fail("%lu bytes of memory are left after the unload",
		    fake_memory_bytes());
	if (locks_alive() != locks_before)
		fail("locks are left after the unload: %u, and %u before",
		    locks_alive(), locks_before);
	loaded = false;
}

/* kldload(8): 0, or the error of the kernel's linker. */
int
fake_load(int version)
{
	if (loaded)
		return (EEXIST);
	if (!suits(version))
		return (ENOEXEC);
	kernel_version = version;
	locks_before = locks_alive();
	restore_data();
	register_sysctls();
	run_in_order(sysinit_set_start, sysinit_set_stop, false);
	sdt_learns_the_probes();
	holds_nothing("kldload ends");
	loaded = true;
	if (module == NULL) {
		finish_unload();
		return (ENOEXEC);
	}
	return (0);
}

/* kldunload(8), with force kldunload -f. */
int
fake_unload(int force)
{
	int error;

	if (!loaded)
		return (ENOENT);
	error = run_unload_handlers(&this_file, true);
	if (error != 0)
		return (EBUSY);
	error = fake_modevent(MOD_QUIESCE);
	if (error != 0 && !force)
		return (error);
	error = fake_modevent(MOD_UNLOAD);
	if (error != 0)
		return (error);
	module = NULL;
	finish_unload();
	return (0);
}

/* Unloads another module. */
void
fake_unload_of_another_file(void)
{
	if (run_unload_handlers(&another_file, false) != 0)
		fail("the unload of another module is refused");
}

int
fake_modevent(int event)
{
	int error;

	error = module->evhand(this_module, event, module->priv);
	holds_nothing("the module's event handler ends");
	return (error);
}
