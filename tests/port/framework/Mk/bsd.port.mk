# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The siftr_cdev maintainers
#
# A replacement for the ports framework.

.include <bsd.port.pre.mk>
.include <bsd.port.post.mk>
