# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# A replacement for the first part of the ports framework: what USES=cargo and
# USES=kmod add to the port's variables.

.include "${.CURDIR}/Makefile.crates"

PREFIX?=	/usr/local
KMODDIR?=	/boot/modules
OSVERSION=	1402000
DISTNAME=	${PORTNAME}-${DISTVERSION}
EXTRACT_SUFX=	.tar.gz
CATEGORIES+=	kld
PKGVERSION=	${DISTVERSION}.${OSVERSION}
PLIST_FILES+=	"@kld ${KMODDIR}"
DISTFILES+=	${CARGO_CRATES:S,^,rust/crates/,:S,$,.crate,}
