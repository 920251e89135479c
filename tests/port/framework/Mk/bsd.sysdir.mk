# SPDX-License-Identifier: BSD-2-Clause
#
# A replacement for the file that defines the directory of the kernel's sources.

SYSDIR?=	/usr/src/sys
