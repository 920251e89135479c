# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The siftr_cdev maintainers
#
# The FreeBSD port.  Here, its sources are the directory that contains it, and
# without a ports tree, freebsd/tree.mk builds and installs the same files with
# bsd.kmod.mk and cargo; on Linux, GNUmakefile is used.  freebsd/dist.sh derives
# the port for a ports tree.
#
# It makes two packages: siftr_cdev, and siftr_cdev-kmod with the module, which
# must be built again for each minor release.  pkg-plist assigns the files to them.

PORTNAME=	siftr_cdev
DISTVERSION=	2.0.0
CATEGORIES=	net net-mgmt
MASTER_SITES=	https://YOUR.DOMAIN/siftr_cdev/
DISTFILES=	${DISTNAME}${EXTRACT_SUFX}

# Until the project has a home: the committer replaces MAINTAINER with their own
# address, WWW with that of the project, and MASTER_SITES with that of the releases.
MAINTAINER=	ports@FreeBSD.org
COMMENT=	Live statistics of every TCP connection: device, logger and viewer
WWW=		http://caia.swin.edu.au/urp/newtcp/tools.html

LICENSE=	BSD2CLAUSE
LICENSE_FILE=	${WRKSRC}/LICENSE

IGNORE_FreeBSD_13=	the kernel module requires FreeBSD 14 to 16
IGNORE_FreeBSD_17=	the kernel module requires FreeBSD 14 to 16
ONLY_FOR_ARCHS=	aarch64 amd64
ONLY_FOR_ARCHS_REASON=	the kernel module supports only these

USES=		cargo kmod llvm:build,noexport

SUBPACKAGES=	kmod
SELF_DEPENDS=	kmod
COMMENT.kmod=	Kernel module with live statistics of every TCP connection

USE_RC_SUBR=	tcpstats_logger

# Refuses to install the module on a kernel that cannot load it.
SUB_FILES=	pkg-pre-install.kmod
SUB_LIST=	OSVERSION=${OSVERSION}
PKGPREINSTALL.kmod=	${WRKDIR}/pkg-pre-install.kmod

CARGO_BUILD_ARGS=	--package=siftr_cdev_gen --package=siftr_cdev_logger
CARGO_TEST_ARGS=	--package=siftr_cdev --package=siftr_cdev_gen \
			--package=siftr_cdev_logger --package=tcpstats \
			--package=tcpstats_log --package=tcpstats_sandbox \
			--package=tcpstats_source
MAKE_ENV+=		GEN=${GEN} \
			LIBCLANG_PATH=${LLVM_PREFIX}/lib \
			MAKEOBJDIR=${WRKDIR}/kmod \
			RUSTC=${RUSTC}

RUSTFLAGS+=	--remap-path-prefix=${WRKSRC}=${PORTNAME}

OPTIONS_DEFINE=		DOCS EXAMPLES VIEWER
OPTIONS_DEFAULT=	VIEWER
OPTIONS_SUB=		yes
VIEWER_DESC=		tcpstats(1), which shows, summarizes and converts logs
VIEWER_LIB_DEPENDS=	libzstd.so:archivers/zstd
VIEWER_VARS=		CARGO_BUILD_ARGS+=--package=tcpstats_viewer \
			CARGO_TEST_ARGS+=--package=tcpstats_viewer \
			USE_RC_SUBR+=tcpstats_serve

PROGRAMS=	${CARGO_TARGET_DIR}/${CARGO_BUILD_TARGET}/release
GEN=		${PROGRAMS}/siftr_cdev_gen
KMODULE=	${WRKDIR}/kmod/siftr_cdev.ko
HEADER=		${WRKDIR}/kmod/tcpstats.h
# A viewer that runs on the build host.
VIEWER?=	${PROGRAMS}/tcpstats

COMPLETIONS=	bash:bash-completion/completions/tcpstats \
		fish:fish/vendor_completions.d/tcpstats.fish \
		zsh:zsh/site-functions/_tcpstats

post-build:
	${MKDIR} ${WRKDIR}/kmod
	${DO_MAKE_BUILD} -C ${WRKSRC}/src/kmod
	${GEN} header ${HEADER}

do-install:
	${INSTALL_KLD} ${KMODULE} ${STAGEDIR}${KMODDIR}
	${INSTALL_PROGRAM} ${PROGRAMS}/siftr_cdev_logger ${STAGEDIR}${PREFIX}/sbin
	${MKDIR} ${STAGEDIR}${PREFIX}/include/netinet
	${INSTALL_DATA} ${HEADER} ${STAGEDIR}${PREFIX}/include/netinet
	${INSTALL_MAN} ${WRKSRC}/man/siftr_cdev.4 ${STAGEDIR}${PREFIX}/share/man/man4
	${INSTALL_MAN} ${WRKSRC}/man/tcpstats.5 ${STAGEDIR}${PREFIX}/share/man/man5
	${INSTALL_MAN} ${WRKSRC}/man/siftr_cdev_logger.8 ${STAGEDIR}${PREFIX}/share/man/man8
	${MKDIR} ${STAGEDIR}${PREFIX}/etc/newsyslog.conf.d
	${INSTALL_DATA} ${WRKSRC}/files/newsyslog.conf.d/tcpstats_logger.conf \
		${STAGEDIR}${PREFIX}/etc/newsyslog.conf.d/tcpstats_logger.conf.sample

post-install-DOCS-on:
	${MKDIR} ${STAGEDIR}${DOCSDIR}
	cd ${WRKSRC} && ${INSTALL_DATA} CHANGELOG.md README.md ${STAGEDIR}${DOCSDIR}

post-install-EXAMPLES-on:
	${MKDIR} ${STAGEDIR}${EXAMPLESDIR}
	cd ${WRKSRC}/files && ${INSTALL_DATA} devfs.conf ends.d skips.d snapshots.d ${STAGEDIR}${EXAMPLESDIR}
	cd ${WRKSRC}/examples && ${INSTALL_DATA} README.md clickhouse.sql collect.sh duckdb.sql spark.sql ${STAGEDIR}${EXAMPLESDIR}
	${MKDIR} ${STAGEDIR}${EXAMPLESDIR}/prometheus
	cd ${WRKSRC}/examples/prometheus && ${INSTALL_DATA} dashboard.json prometheus.yml tcpstats.rules.yml tcpstats.test.yml \
		${STAGEDIR}${EXAMPLESDIR}/prometheus

post-install-VIEWER-on:
	${INSTALL_PROGRAM} ${PROGRAMS}/tcpstats ${STAGEDIR}${PREFIX}/bin
	${INSTALL_MAN} ${WRKSRC}/man/tcpstats.1 ${STAGEDIR}${PREFIX}/share/man/man1
.for completion in ${COMPLETIONS}
	${MKDIR} ${STAGEDIR}${PREFIX}/share/${completion:H:C/^[a-z]+://}
	${VIEWER} completions ${completion:C/:.*//} > ${STAGEDIR}${PREFIX}/share/${completion:C/^[a-z]+://}
.endfor

# Not in a ports tree: the sources are copied instead of fetched.
DISTFILES=	# only the crates
TREE=		CHANGELOG.md Cargo.lock Cargo.toml LICENSE README.md bench \
		examples files freebsd man src tests

post-extract:
	cd ${.CURDIR} && ${CP} -R ${TREE} ${WRKSRC}/

PORTSDIR?=	/usr/ports
.if !exists(${PORTSDIR}/Mk/bsd.port.mk)
.include "freebsd/tree.mk"
.else
siftr_cdev_logger: .PHONY build
	${CP} ${PROGRAMS}/siftr_cdev_logger ${.CURDIR}

post-clean:
	${RM} ${.CURDIR}/siftr_cdev_logger

# End of what is not in a ports tree.
.include <bsd.port.pre.mk>

# USES=kmod adds @kld to the main package.  pkg-plist has it in siftr_cdev-kmod.
PLIST_FILES:=	${PLIST_FILES:N*@kld*}

.include <bsd.port.post.mk>
.endif
