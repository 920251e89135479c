# SPDX-License-Identifier: BSD-2-Clause
#
# Stands in for a FreeBSD's own rules.

MACHINE_CPUARCH=	amd64
