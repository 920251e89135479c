// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Encodes arguments of arbitrary bytes as text, because getopts accepts only
//! UTF-8 and file names may be any bytes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The character that would encode byte 0.  Only bytes of 128 and above are
/// encoded, as characters for private use or noncharacters.
const FIRST: u32 = 0x10_ff00;

/// Encodes an argument as text, from which [`decode`] restores it.
pub fn encode(argument: &OsStr) -> String {
    let mut text = String::new();
    for chunk in argument.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            // A character that encodes a byte must itself be encoded, byte by byte.
            if byte_of(character).is_some() {
                text.extend(character.encode_utf8(&mut [0; 4]).bytes().filter_map(character_of));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().copied().filter_map(character_of));
    }
    text
}

/// Decodes an argument.
pub fn decode(text: &str) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match byte_of(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(character.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    OsString::from_vec(bytes)
}

/// Returns a printable form of an encoded argument.
pub fn display(text: &str) -> String {
    decode(text).display().to_string()
}

/// Returns whether an encoded argument is UTF-8.
pub fn is_text(text: &str) -> bool {
    decode(text).to_str().is_some()
}

fn byte_of(character: char) -> Option<u8> {
    u32::from(character).checked_sub(FIRST).and_then(|byte| u8::try_from(byte).ok()).filter(|byte| *byte >= 128)
}

fn character_of(byte: u8) -> Option<char> {
    char::from_u32(FIRST + u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_survives_encoding_and_decoding() {
        let arguments: [&[u8]; 6] =
            [b"", b"x.log", "\u{e4}\u{10ffff}\u{10ff80}\u{10ff7f}".as_bytes(), b"\xff.log", b"a\xc3", b"\xf4\x8f\xbf"];
        for argument in arguments {
            let argument = OsStr::from_bytes(argument);
            assert_eq!(decode(&encode(argument)), argument, "{argument:?}");
            assert_eq!(is_text(&encode(argument)), argument.to_str().is_some());
        }
        assert_eq!(encode(OsStr::new("-o")), "-o");
    }
}
