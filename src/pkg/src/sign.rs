// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Signatures, made by a command that the owner of the key supplies.  It is called
//! like the `signing_command` of pkg-repo(8): it reads a line, the SHA-256 sum of a
//! catalogue in hexadecimal digits, and writes the lines `SIGNATURE`, a signature
//! of these digits, `CERT`, the public key in PEM, and `END`.

use std::fmt::Write as _;
use std::io::Write;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

/// A signature of a file.
pub struct Signature {
    /// What proves that the owner of the key signed.
    pub signature: Vec<u8>,
    /// The public key.
    pub key: Vec<u8>,
}

/// Returns the SHA-256 sum in hexadecimal digits.
pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut digits, byte| {
        _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// Signs a catalogue.
///
/// # Errors
/// Returns an error if the command fails or writes something else.
pub fn sign(command: &str, catalogue: &[u8]) -> Result<Signature, String> {
    let failed = |error: std::io::Error| format!("{command}: {error}");
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read its input writes something else, which is reported below.
        _ = writeln!(input, "{}", sha256(catalogue));
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(format!("{command}: {}", output.status));
    }
    parse(&output.stdout).ok_or_else(|| {
        format!("{command}: expected SIGNATURE, a signature, CERT, a public key and END, each on its own line")
    })
}

fn parse(output: &[u8]) -> Option<Signature> {
    let rest = output.strip_prefix(b"SIGNATURE\n")?;
    let rest = rest.strip_suffix(b"\nEND\n").map(|rest| [rest, b"\n"].concat())?;
    // The signature can contain anything; the key cannot contain this line.
    let separator = b"\nCERT\n";
    let at = rest.windows(separator.len()).rposition(|window| window == separator)?;
    let key = rest[at + separator.len()..].to_vec();
    (at > 0 && key.len() > 1).then(|| Signature { signature: rest[..at].to_vec(), key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_can_contain_any_byte() {
        let Signature { signature, key } = parse(b"SIGNATURE\n\n\xff\nCERT\n\nEND\n\nCERT\nkey\nkey\nEND\n").unwrap();
        assert_eq!((signature.as_slice(), key.as_slice()), (&b"\n\xff\nCERT\n\nEND\n"[..], &b"key\nkey\n"[..]));
    }

    #[test]
    fn a_command_that_fails_or_writes_something_else_is_an_error() {
        for command in
            ["exit 3", "echo", "printf 'SIGNATURE\\n\\nCERT\\nkey\\nEND\\n'", "printf 'SIGNATURE\\nx\\nCERT\\nEND\\n'"]
        {
            assert!(sign(command, b"x").is_err_and(|error| error.starts_with(command)), "{command}");
        }
    }

    #[test]
    fn the_command_reads_the_sum() {
        let signed = sign("read sum; printf 'SIGNATURE\\n%s\\nCERT\\nkey\\nEND\\n' $sum", b"abc").unwrap();
        assert_eq!(signed.signature, b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
