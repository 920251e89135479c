#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# Signs a repository with a key in a file, using openssl(1).
#
#   sign.sh KEY
#
# KEY is a private RSA key in PEM.  This is the signing command of siftr_cdev_pkg
# and of pkg-repo(8): it reads the checksum of a catalogue and writes the signature and
# the public key.
set -eu

key=$1
[ -r "$key" ] || { echo "sign.sh: $key: cannot read the private key" >&2; exit 1; }
read -r sum
echo SIGNATURE
printf %s "$sum" | openssl dgst -sha256 -sign "$key" -binary
echo
echo CERT
openssl rsa -in "$key" -pubout 2> /dev/null
echo END
