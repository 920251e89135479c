# SPDX-License-Identifier: BSD-2-Clause
#
# Stands in for what says where the kernel's sources are.

SYSDIR?=	/usr/src/sys
