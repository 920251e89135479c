# SPDX-License-Identifier: BSD-2-Clause
#
# A replacement for FreeBSD's built-in rules.

MACHINE_CPUARCH=	amd64
