// SPDX-License-Identifier: BSD-2-Clause

//! Structures of the kernel's interface, and numbers in bytes that hold one.
//!
//! The kernel sends a structure as far as it knows it, so that any number at the
//! end may be missing.

use std::marker::PhantomData;

/// The place of a number in a structure.
pub struct At<T> {
    offset: usize,
    number: PhantomData<T>,
}

impl<T> At<T> {
    pub const fn new(offset: usize) -> Self {
        Self { offset, number: PhantomData }
    }
}

impl<T> Clone for At<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for At<T> {}

/// A number, or bytes that are not one number.
pub trait Number: Sized {
    /// Reads it from the start of the bytes, in native order.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// Writes it over the start of the bytes, in native order.
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

/// Defines a structure as C lays it out, with the place of each of its members.
macro_rules! c_struct {
    ($(#[$doc:meta])* $name:ident { $($member:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[allow(dead_code, reason = "only its layout is used")]
        pub struct $name {
            $($member: $type,)*
        }

        #[allow(dead_code, non_upper_case_globals, reason = "all members, by the kernel's names")]
        impl $name {
            pub const LEN: usize = size_of::<Self>();
            $(pub const $member: $crate::linux::layout::At<$type> =
                $crate::linux::layout::At::new(std::mem::offset_of!($name, $member));)*
        }
    };
}
pub(super) use c_struct;

/// Bytes of a structure, of which any may be missing.
#[derive(Clone, Copy, Default)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    /// Returns the number at that place.
    #[inline]
    pub fn get<T: Number>(self, at: At<T>) -> Option<T> {
        T::read(self.0.get(at.offset..)?)
    }

    /// Returns the number that the bytes start with.
    #[inline]
    pub fn first<T: Number>(self) -> Option<T> {
        T::read(self.0)
    }

    /// Returns the time at that place, which is in milliseconds, in microseconds.
    #[inline]
    pub fn ms(self, at: At<u32>) -> Option<u64> {
        self.get(at).map(|ms| u64::from(ms) * 1000)
    }
}

/// Writes a number at its place in a structure.
///
/// # Panics
/// If the structure has no such place.
pub fn put<T: Number>(bytes: &mut [u8], at: At<T>, value: T) {
    value.write(&mut bytes[at.offset..]);
}
