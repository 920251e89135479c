# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# A replacement for the file that defines the directory of the kernel's sources.

SYSDIR?=	/usr/src/sys
