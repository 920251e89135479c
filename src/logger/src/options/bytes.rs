// SPDX-License-Identifier: BSD-2-Clause

//! Arguments of any bytes as text and back: getopts takes UTF-8 alone, and file
//! names are any bytes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The character that stands for byte 0 of what is not text.  No byte below 128
/// needs one, and the characters from here on are private or none.
const FIRST: u32 = 0x10_ff00;

/// Returns the argument as text that [`decode`] makes the argument of again.
pub fn encode(argument: &OsStr) -> String {
    let mut text = String::new();
    for chunk in argument.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            // A character that stands for a byte is itself encoded byte for byte.
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

/// Returns the argument that was encoded.
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

/// Returns encoded text for people.
pub fn display(text: &str) -> String {
    decode(text).display().to_string()
}

/// Returns whether what was encoded is text.
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
    fn every_argument_comes_back_as_it_was() {
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
