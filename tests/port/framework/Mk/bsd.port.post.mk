# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# A replacement for the rest of the ports framework: the parts of bsd.port.mk,
# options, and USES=cargo, kmod and llvm that the port uses.  WORK is the work
# directory.

WRKDIR=		${WORK}
WRKSRC=		${WRKDIR}/${PORTNAME}-${DISTVERSION}
STAGEDIR=	${WRKDIR}/stage
DOCSDIR=	${PREFIX}/share/doc/${PORTNAME}
EXAMPLESDIR=	${PREFIX}/share/examples/${PORTNAME}
LLVM_PREFIX=	/llvm
RUSTC=		rustc
CARGO=		cargo
CARGO_TARGET_DIR=	${WRKDIR}/target
CARGO_BUILD_TARGET=	x86_64-unknown-freebsd
CP=		cp
MKDIR=		mkdir -p
RM=		rm -f
INSTALL_PROGRAM=	install -s -m 555
INSTALL_KLD=	install -m 555
INSTALL_DATA=	install -m 0644
INSTALL_MAN=	install -m 444
RUSTFLAGS+=	-C link-arg=-for-programs
MAKE_ENV+=	SYSDIR=${SRC_BASE}/sys KMODDIR=${KMODDIR}
DO_MAKE_BUILD=	env ${MAKE_ENV} ${MAKE}

# DOCS and EXAMPLES are on by default, like OPTIONS_DEFAULT.
ON=		${OPTIONS_DEFINE:MDOCS} ${OPTIONS_DEFINE:MEXAMPLES} ${OPTIONS_DEFAULT}
.for option in ${WITHOUT}
ON:=		${ON:N${option}}
.endfor
.for option in ${OPTIONS_DEFINE}
.if ${ON:M${option}}
.for assignment in ${${option}_VARS}
${assignment:C/\+=.*//}+=	${assignment:C/^[^=]*=//}
.endfor
SUB+=		-e 's,%%${option}%%,,' -e 's,%%PORT${option}%%,,'
INSTALLED+=	post-install-${option}-on
.else
SUB+=		-e '/%%${option}%%/d' -e '/%%PORT${option}%%/d'
.endif
.endfor
SUB+=		-e 's,%%KMODDIR%%,${KMODDIR:S,^/,,},' -e 's,%%DOCSDIR%%,${DOCSDIR:S,^${PREFIX}/,,},' \
		-e 's,%%EXAMPLESDIR%%,${EXAMPLESDIR:S,^${PREFIX}/,,},'

.PHONY: all extract crates build do-build stage folders rest plist clean do-install ${INSTALLED} post-extract post-build post-clean
.ORDER: crates post-extract do-build post-build
.ORDER: folders do-install ${INSTALLED} rest

.MAIN: all
all: stage

# Extracting the crates creates the source directory before the port's own sources.
crates:
	${MKDIR} ${CARGO_CRATES:S,^,${WRKSRC}/cargo-crates/,}

do-build:
	cd ${WRKSRC} && env ${MAKE_ENV} CARGO_TARGET_DIR=${CARGO_TARGET_DIR} CARGO_BUILD_TARGET=${CARGO_BUILD_TARGET} \
	    RUSTFLAGS="${RUSTFLAGS}" ${CARGO} build --release ${CARGO_BUILD_ARGS}

build: crates post-extract do-build post-build

folders:
	${MKDIR} ${STAGEDIR}${KMODDIR} ${STAGEDIR}${PREFIX}/bin ${STAGEDIR}${PREFIX}/sbin ${STAGEDIR}${PREFIX}/etc/rc.d
.for section in 1 2 3 4 5 6 7 8 9
	${MKDIR} ${STAGEDIR}${PREFIX}/share/man/man${section}
.endfor

rest:
	find ${STAGEDIR}${PREFIX}/share/man -type f -exec gzip -9n {} +
.for script in ${USE_RC_SUBR}
	sed 's,%%PREFIX%%,${PREFIX},' ${.CURDIR}/files/${script}.in > ${WRKDIR}/${script}
	install -m 755 ${WRKDIR}/${script} ${STAGEDIR}${PREFIX}/etc/rc.d/
.endfor

stage: build folders do-install ${INSTALLED} rest

plist:
	@printf '%s\n' ${PLIST_FILES} | sed '/^$$/d'
	@sed ${SUB} ${.CURDIR}/pkg-plist
.for script in ${USE_RC_SUBR}
	@echo etc/rc.d/${script}
.endfor

clean: post-clean
	rm -rf ${WRKDIR}
