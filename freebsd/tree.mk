# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# The port's Makefile without a ports tree: builds in target/ and installs the same
# files under PREFIX, KMODDIR and DESTDIR.  WITHOUT disables options of the port:
# make WITHOUT="DOCS VIEWER" install.

PREFIX?=	/usr/local
KMODDIR?=	/boot/modules
STAGEDIR=	${DESTDIR}
DOCSDIR=	${PREFIX}/share/doc/${PORTNAME}
EXAMPLESDIR=	${PREFIX}/share/examples/${PORTNAME}
WRKSRC=		${.CURDIR}
OPTIONS=	${OPTIONS_DEFINE}
.for option in ${WITHOUT}
OPTIONS:=	${OPTIONS:N${option}}
.endfor
OPTION_TARGETS=	${OPTIONS:@option@post-install-${option}-on@}

CARGO?=		cargo
KLDXREF?=	kldxref
OBJECTS=	${.CURDIR}/target/kmod/host
PROGRAMS=	${.CURDIR}/target/release
KMODULE=	${OBJECTS}/siftr_cdev.ko
HEADER=		${OBJECTS}/tcpstats.h
BUILT=		siftr_cdev.ko siftr_cdev_logger ${OPTIONS:MVIEWER:S/VIEWER/tcpstats/}

# The same modes as in the ports framework.
STRIP?=		-s
MKDIR=		mkdir -p
INSTALL_PROGRAM=	install ${STRIP} -m 555
INSTALL_KLD=	install -m 555
INSTALL_DATA=	install -m 644
INSTALL_MAN=	install -m 444
RC_SCRIPTS=	${USE_RC_SUBR} ${OPTIONS:MVIEWER:S,VIEWER,tcpstats_serve,}
MANUALS=	man4/siftr_cdev.4 man5/tcpstats.5 man8/siftr_cdev_logger.8 ${OPTIONS:MVIEWER:S,VIEWER,man1/tcpstats.1,}
FOLDERS=	${KMODDIR} ${PREFIX}/etc/rc.d ${PREFIX}/sbin ${OPTIONS:MVIEWER:S,VIEWER,${PREFIX}/bin,} \
		${MANUALS:H:S,^,${PREFIX}/share/man/,}

# The variables and conditions in pkg-plist.
PLIST_SUB=	-e 's,%%KMODDIR%%,${KMODDIR:S,^/,,},' -e 's,%%DOCSDIR%%,${DOCSDIR:S,^${PREFIX}/,,},' \
		-e 's,%%EXAMPLESDIR%%,${EXAMPLESDIR:S,^${PREFIX}/,,},'
.for option in ${OPTIONS_DEFINE}
.if ${OPTIONS:M${option}}
PLIST_SUB+=	-e 's,%%${option}%%,,' -e 's,%%PORT${option}%%,,'
.else
PLIST_SUB+=	-e '/%%${option}%%/d' -e '/%%PORT${option}%%/d'
.endif
.endfor

.PHONY: all build ${BUILT} clean test install stage plist folders rest ${OPTION_TARGETS} do-install
.ORDER: folders do-install ${OPTION_TARGETS} rest

.MAIN: all
all build: ${BUILT}

siftr_cdev.ko:
	${CARGO} build --release --locked --package=siftr_cdev_gen
	${MKDIR} ${OBJECTS}
	${GEN} header ${HEADER}
	cd src/kmod && MAKEOBJDIR=${OBJECTS} GEN=${GEN} ${MAKE}
	cp ${KMODULE} ${.CURDIR}

siftr_cdev_logger:
	${CARGO} build --release --locked --package=siftr_cdev_logger
	cp ${PROGRAMS}/siftr_cdev_logger ${.CURDIR}

tcpstats:
	${CARGO} build --release --locked --package=tcpstats_viewer
	cp ${PROGRAMS}/tcpstats ${.CURDIR}

test:
	${CARGO} test --release --locked ${CARGO_TEST_ARGS}

clean:
	rm -rf target siftr_cdev.ko siftr_cdev_logger tcpstats

install: stage
	${KLDXREF} ${STAGEDIR}${KMODDIR}

# Like install, but without running kldxref(8).
stage: folders do-install ${OPTION_TARGETS} rest

# Prints the packing list of the package that SUBPACKAGE names, by default the main one.
plist:
.if empty(SUBPACKAGE)
	@sed -e '/^@@/d' ${PLIST_SUB} ${.CURDIR}/pkg-plist
	@printf '%s\n' ${RC_SCRIPTS:S,^,etc/rc.d/,}
.else
	@sed -n -e '/^@@${SUBPACKAGE}@@/{' -e 's///' ${PLIST_SUB} -e p -e '}' ${.CURDIR}/pkg-plist
.endif

folders:
	@for file in ${KMODULE} ${HEADER} ${PROGRAMS}/siftr_cdev_logger; do \
		[ -e $$file ] || { echo "$$file: file not found; run make first" >&2; exit 1; }; done
	${MKDIR} ${FOLDERS:S,^,${STAGEDIR},}

rest:
.for script in ${RC_SCRIPTS}
	rm -f ${STAGEDIR}${PREFIX}/etc/rc.d/${script}
	sed 's,%%PREFIX%%,${PREFIX},' rc.d/${script} > ${STAGEDIR}${PREFIX}/etc/rc.d/${script}
	chmod 755 ${STAGEDIR}${PREFIX}/etc/rc.d/${script}
.endfor
	cd ${STAGEDIR}${PREFIX}/share/man && gzip -9nf ${MANUALS}
