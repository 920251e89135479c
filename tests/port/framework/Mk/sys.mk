# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# A replacement for FreeBSD's built-in rules.

MACHINE_CPUARCH=	amd64
