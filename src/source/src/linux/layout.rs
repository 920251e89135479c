// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Structures of the kernel's interface, and access to their members in bytes.
//!
//! The kernel sends the part of a structure that its version defines, so any
//! member at the end may be missing.

use std::marker::PhantomData;

/// The offset of a member of type `T` in a structure.
pub struct Offset<T> {
    offset: usize,
    number: PhantomData<T>,
}

impl<T> Offset<T> {
    pub const fn new(offset: usize) -> Self {
        Self { offset, number: PhantomData }
    }
}

impl<T> Clone for Offset<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Offset<T> {}

/// The type of a member: a number, or bytes that are not a number.
pub trait Number: Sized {
    /// Reads the value from the start of the bytes, in native byte order.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// Writes the value to the start of the bytes, in native byte order.
    fn write(self, bytes: &mut [u8]);
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Number for $type {
            #[inline]
            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().copied().map(Self::from_ne_bytes)
            }

            fn write(self, bytes: &mut [u8]) {
                self.to_ne_bytes().write(bytes);
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 i32 }

impl<const N: usize> Number for [u8; N] {
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().copied()
    }

    fn write(self, bytes: &mut [u8]) {
        bytes[..N].copy_from_slice(&self);
    }
}

/// Defines a structure with the layout of C, and the offset of each member.
macro_rules! c_struct {
    ($(#[$doc:meta])* $name:ident { $($member:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[allow(dead_code, reason = "only its layout is used")]
        pub struct $name {
            $($member: $type,)*
        }

        #[allow(dead_code, non_upper_case_globals, reason = "all members, with the kernel's names")]
        impl $name {
            pub const LEN: usize = size_of::<Self>();
            $(pub const $member: $crate::linux::layout::Offset<$type> =
                $crate::linux::layout::Offset::new(std::mem::offset_of!($name, $member));)*
        }
    };
}
pub(super) use c_struct;

/// The bytes of a structure, of which those at the end may be missing.
#[derive(Clone, Copy, Default)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    /// Returns the member at this offset, or `None` if it is missing.
    #[inline]
    pub fn get<T: Number>(self, at: Offset<T>) -> Option<T> {
        T::read(self.0.get(at.offset..)?)
    }

    /// Returns the number at the start of the bytes.
    #[inline]
    pub fn first<T: Number>(self) -> Option<T> {
        T::read(self.0)
    }

    /// Returns the time at this offset, converted from milliseconds to
    /// microseconds.
    #[inline]
    pub fn ms(self, at: Offset<u32>) -> Option<u64> {
        self.get(at).map(|ms| u64::from(ms) * 1000)
    }
}

/// Writes a member of a structure.
///
/// # Panics
/// Panics if the offset is outside the structure.
pub fn put<T: Number>(bytes: &mut [u8], at: Offset<T>, value: T) {
    value.write(&mut bytes[at.offset..]);
}
