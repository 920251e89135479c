#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Packs a build for FreeBSD as the same packages for pkg(8) that the port makes.
#
#   package.sh RELEASE ARCH BUILD KO OUT
#
# RELEASE and ARCH are files of freebsd/release and freebsd/arch, BUILD is the
# directory that cross.sh wrote to, KO the module, OUT the directory to write
# siftr_cdev-VERSION.OSVERSION.pkg and siftr_cdev-kmod-VERSION.OSVERSION.pkg to.
#
# Environment: see stage.sh; PKG (the built siftr_cdev_pkg); SOURCE_DATE_EPOCH, the
# time of all files; OSVERSION, the __FreeBSD_version that KO is built for;
# PORTREVISION, which distinguishes packages of the same version.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
release=$1 arch=$2 build=$3 ko=$4
mkdir -p "$5"
out=$(cd "$5" && pwd)
: "${PKG:?must name siftr_cdev_pkg}" "${SOURCE_DATE_EPOCH:?must be the time of all files}"
export SOURCE_DATE_EPOCH
. "$top/freebsd/target.sh"
target "release/$release" "arch/$arch"
: "${OSVERSION:=$DEFAULT_OSVERSION}"
unset MAKEFLAGS MFLAGS

# port ARGUMENT...: reads the port's Makefile.
port() {
	bmake -s -C "$top" PORTSDIR=/nonexistent "$@"
}

# value NAME: a variable of the port.
value() {
	port -V "\${$1}"
}

work=$out/.work
rm -rf "$work" "$out"/*.pkg
mkdir -p "$work"
sh "$top/freebsd/stage.sh" "$build" "$ko" "$work/stage"
sed "s,%%OSVERSION%%,$OSVERSION,g" "$top/files/pkg-pre-install.kmod.in" > "$work/pkg-pre-install.kmod"

name=$(value PORTNAME) version=$(value DISTVERSION) prefix=$(value PREFIX)
origin=$(value CATEGORIES | cut -d ' ' -f 1)/$name
kmod=$name-kmod
# USES=kmod appends the __FreeBSD_version to the version of both packages.
version=$version.$OSVERSION${PORTREVISION:+_$PORTREVISION}
options=
for option in $(value OPTIONS); do
	options="$options $option:on"
done

# package NAME SUBPACKAGE ARGUMENT...: writes a package.  SUBPACKAGE is empty for
# the main package.  USES=kmod adds the category.
package() {
	package_name=$1 suffix=${2:+.$2}
	port SUBPACKAGE="$2" plist > "$work/plist$suffix"
	# Where the framework installs it.
	licence=share/licenses/$package_name-$version/$(value LICENSE)
	mkdir -p "$work/stage$prefix/${licence%/*}"
	cp "$top/LICENSE" "$work/stage$prefix/$licence"
	echo "$licence" >> "$work/plist$suffix"
	shift 2
	"$PKG" create -p "$work/plist$suffix" -d "$top/pkg-descr$suffix" -m "$top/pkg-message$suffix" -r "$work/stage" -o "$out" \
	    "name=$package_name" "version=$version" "origin=$origin" \
	    "comment=$(value "COMMENT$suffix")" "maintainer=$(value MAINTAINER)" "www=$(value WWW)" \
	    "abi=FreeBSD:$release:$arch" "arch=freebsd:$release:$PKG_ARCH" "prefix=$prefix" \
	    "categories=$(value CATEGORIES) kld" "licenses=$(value LICENSE)" \
	    "annotations=FreeBSD_version:$OSVERSION${suffix:+ subpackage:${suffix#.}}" "$@"
}

package "$kmod" kmod -i "$work/pkg-pre-install.kmod"
package "$name" '' "options=$options" "deps=$kmod:$origin:$version"
rm -rf "$work"
