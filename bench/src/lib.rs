// SPDX-License-Identifier: BSD-2-Clause

//! Nothing to link: the measurements are in `benches/`.
