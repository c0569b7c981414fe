//! The file format of checkpoints.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `LIVECHK` and a zero |
//! | 4 | number of the format, little-endian, as all numbers here |
//! | 1 | 1 if the machine is little-endian, 2 if not |
//! | 1 | bytes of a pointer of the machine |
//! | 2 | zero |
//! | 8 | length of the content in bytes |
//! | 8 | xxHash64 (seed 0) of the content |
//! | ... | the content: a [`Checkpoint`] as postcard writes it |
//!
//! Packed values are in the byte order of the machine (see [`pack`](super::pack)).
//! Nothing is read of the content before its length and hash are known to be right, so
//! that a truncated or changed file is an error and nothing else.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use inspector_protocol::content_hash;

use super::Checkpoint;

const MAGIC: [u8; 8] = *b"LIVECHK\0";
/// Number of the format; another one is not read.
pub const FORMAT: u32 = 2;
const HEADER: usize = 32;
const MACHINE: [u8; 4] = [
    if cfg!(target_endian = "little") { 1 } else { 2 },
    size_of::<usize>() as u8,
    0,
    0,
];

/// Why a file is no checkpoint that can be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something else.
    #[error("it is not a checkpoint")]
    NotACheckpoint,
    /// Another version of the engine.
    #[error("its format is number {found}, this engine reads number {FORMAT}")]
    Format {
        /// The number in the file.
        found: u32,
    },
    /// Another machine.
    #[error("it was made on another kind of machine")]
    Machine,
    /// It was cut off, or there is more of it than there was.
    #[error("it has {found} bytes of {expected}")]
    Length {
        /// Bytes that are there.
        found: u64,
        /// Bytes that should be there.
        expected: u64,
    },
    /// Its content was changed.
    #[error("its content is damaged: the hash does not fit")]
    Hash,
    /// Its content is whole and makes no sense.
    #[error("its content cannot be read: {0}")]
    Content(postcard::Error),
}

/// A checkpoint as the bytes of a file.
///
/// # Errors
/// What cannot be serialised.
pub fn encode(checkpoint: &Checkpoint) -> Result<Vec<u8>, FileError> {
    let bytes = postcard::to_extend(checkpoint, vec![0; HEADER]).map_err(FileError::Content)?;
    Ok(with_header(bytes))
}

/// Fills the header before content.
fn with_header(mut bytes: Vec<u8>) -> Vec<u8> {
    let (header, content) = bytes.split_at_mut(HEADER);
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[12..16].copy_from_slice(&MACHINE);
    header[16..24].copy_from_slice(&(content.len() as u64).to_le_bytes());
    header[24..].copy_from_slice(&content_hash(content).to_le_bytes());
    bytes
}

/// A checkpoint of the bytes of a file.
///
/// # Errors
/// What is wrong with them.
pub fn decode(bytes: &[u8]) -> Result<Checkpoint, FileError> {
    let (header, content) = bytes
        .split_first_chunk::<HEADER>()
        .ok_or(FileError::NotACheckpoint)?;
    if header[..8] != MAGIC {
        return Err(FileError::NotACheckpoint);
    }
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(number)
    };
    let format = (number(8) & u64::from(u32::MAX)) as u32;
    if format != FORMAT {
        return Err(FileError::Format { found: format });
    }
    if header[12..16] != MACHINE {
        return Err(FileError::Machine);
    }
    let (found, expected) = (content.len() as u64, number(16));
    if found != expected {
        return Err(FileError::Length { found, expected });
    }
    if content_hash(content) != number(24) {
        return Err(FileError::Hash);
    }
    let (checkpoint, rest) = postcard::take_from_bytes(content).map_err(FileError::Content)?;
    if rest.is_empty() {
        Ok(checkpoint)
    } else {
        Err(FileError::Content(
            postcard::Error::DeserializeUnexpectedEnd,
        ))
    }
}

/// Reads a checkpoint.
///
/// # Errors
/// Why it cannot be used.
pub fn read(path: &Path) -> Result<Checkpoint, FileError> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    decode(&bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::checkpoint::tests::sample;

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let sample = sample();
        assert_eq!(decode(&encode(&sample).unwrap()).unwrap(), sample);
    }

    #[test]
    fn truncated_files_are_errors_at_every_length() {
        let bytes = encode(&sample()).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(decode(&longer), Err(FileError::Length { .. })));
    }

    #[test]
    fn changed_files_are_errors_at_every_byte() {
        let bytes = encode(&sample()).unwrap();
        for at in 0..bytes.len() {
            for bit in [0, 3, 7] {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                assert!(decode(&bytes).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let bytes = encode(&sample()).unwrap();
        let check = |at: usize, byte: u8, message: &str| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            assert_eq!(decode(&bytes).unwrap_err().to_string(), message);
        };
        check(0, b'X', "it is not a checkpoint");
        check(8, 9, "its format is number 9, this engine reads number 2");
        check(13, 2, "it was made on another kind of machine");
        let length = bytes.len() - HEADER;
        let absurd = length as u64 | 0xff << 56;
        check(23, 0xff, &format!("it has {length} bytes of {absurd}"));
        let last = bytes.len() - 1;
        let other = bytes[last] ^ 1;
        check(last, other, "its content is damaged: the hash does not fit");
    }

    proptest! {
        /// Also content whose hash fits, which only a bug can write, does no harm.
        #[test]
        fn garbage_is_an_error(content in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&content).is_err());
            let bytes = with_header([&[0; HEADER], &content[..]].concat());
            let _ = decode(&bytes);
        }

        /// As above, near to a real one.
        #[test]
        fn a_changed_byte_with_a_hash_that_fits_does_no_harm(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = encode(&sample()).unwrap();
            let at = HEADER + at.index(bytes.len() - HEADER);
            bytes[at] = byte;
            if let Ok(checkpoint) = decode(&with_header(bytes)) {
                for block in &checkpoint.blocks {
                    for column in &block.columns {
                        let _ = checkpoint.value(column, 0);
                    }
                }
            }
        }
    }
}
