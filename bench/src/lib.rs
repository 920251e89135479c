// SPDX-License-Identifier: BSD-2-Clause

//! This library is empty: the benchmarks are in `benches/`.
