# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# A replacement for FreeBSD's rules for kernel modules: the module is a copy of the
# object that the port's Makefile builds from Rust.

.MAIN: all
.PHONY: all
all: ${KMOD}.ko

opt_global.h opt_inet.h opt_inet6.h machine:
	touch ${.TARGET}

${KMOD}.ko: ${OBJS}
	env > build.env
	cp ${OBJS} ${.TARGET}
