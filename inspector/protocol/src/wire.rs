//! Framing: a little-endian `u32` length, then one message in postcard's wire
//! format. A frame is at most [`MAX_FRAME`] bytes; a longer one ends the
//! connection, so that a hostile peer cannot make the other side allocate.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

/// Largest frame either side accepts, in bytes.
pub const MAX_FRAME: usize = 16 * 1024 * 1024;

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side closed the connection between two messages.
    #[error("the connection was closed")]
    Closed,
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[source] io::Error),
    /// A frame longer than [`MAX_FRAME`].
    #[error("a message of {0} bytes is over the limit of {MAX_FRAME}")]
    TooLong(usize),
    /// The bytes are no message of this protocol.
    #[error("a message could not be decoded; the other side may speak another version")]
    Malformed(#[source] postcard::Error),
}

/// Encodes one message with its length prefix, ready to be written to any
/// number of connections.
///
/// # Errors
/// [`WireError::TooLong`] if the message does not fit a frame.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, WireError> {
    let mut bytes = postcard::to_extend(message, vec![0; 4]).map_err(WireError::Malformed)?;
    let length = bytes.len() - 4;
    if length > MAX_FRAME {
        return Err(WireError::TooLong(length));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}

/// Writes one message and flushes.
///
/// # Errors
/// [`WireError::Io`] if the connection broke, [`WireError::TooLong`] if the
/// message does not fit a frame.
pub fn write<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), WireError> {
    let bytes = encode(message)?;
    to.write_all(&bytes)
        .and_then(|()| to.flush())
        .map_err(WireError::Io)
}

/// Reads one message, blocking until it is there.
///
/// # Errors
/// [`WireError::Closed`] at a clean end, else what went wrong. After an error
/// the connection is of no further use.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, WireError> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(WireError::Closed);
        }
        Err(error) => return Err(WireError::Io(error)),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(WireError::TooLong(length));
    }
    // Grow with what really arrives: a length alone buys no memory.
    let mut bytes = Vec::new();
    from.take(length as u64)
        .read_to_end(&mut bytes)
        .map_err(WireError::Io)?;
    if bytes.len() < length {
        return Err(WireError::Closed);
    }
    postcard::from_bytes(&bytes).map_err(WireError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Event, LogLine, Push, Request};

    #[test]
    fn messages_survive_the_wire_back_to_back() {
        let first = Request::Call {
            id: 7,
            module: "game_logic".into(),
            function: "damage".into(),
            args: vec!["12".into(), "(1, 2)".into()],
        };
        let second = Request::Status { id: 8 };
        let mut bytes = Vec::new();
        write(&mut bytes, &first).unwrap();
        write(&mut bytes, &second).unwrap();
        let mut from = bytes.as_slice();
        assert_eq!(read::<Request>(&mut from).unwrap(), first);
        assert_eq!(read::<Request>(&mut from).unwrap(), second);
        assert!(matches!(read::<Request>(&mut from), Err(WireError::Closed)));
    }

    #[test]
    fn a_cut_message_is_an_error_at_every_length() {
        let message = Event::Log(LogLine {
            message: "hello".into(),
            ..LogLine::default()
        });
        let bytes = encode(&message).unwrap();
        for cut in 0..bytes.len() {
            assert!(read::<Event>(&mut &bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_huge_length_is_refused_before_reading() {
        let mut bytes = (MAX_FRAME as u32 + 1).to_le_bytes().to_vec();
        bytes.extend([0; 16]);
        assert!(matches!(
            read::<Event>(&mut bytes.as_slice()),
            Err(WireError::TooLong(_))
        ));
    }

    #[test]
    fn foreign_bytes_are_malformed() {
        let bytes = [4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(
            read::<Request>(&mut bytes.as_slice()),
            Err(WireError::Malformed(_))
        ));
    }

    /// Numbers at random (xorshift).
    fn random(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state as usize
    }

    #[test]
    fn a_damaged_push_is_another_message_or_an_error() {
        let push = |text: &str| Request::Push {
            id: 3,
            push: Push {
                module: "enemies".into(),
                name: "new.lua".into(),
                text: text.into(),
                is_patch: false,
            },
        };
        let frames = [
            encode(&push("return { hits = 0 }\n")).unwrap(),
            encode(&push(&"x = 'é'\n".repeat(200))).unwrap(),
        ];
        let rounds = std::env::var("LIVELOOP_FUZZ_ROUNDS").ok();
        let rounds = rounds.map_or(20_000, |rounds| rounds.parse().unwrap());
        let mut state = 0x5eed;
        let (mut read_on, mut refused) = (0, 0);
        for round in 0..rounds {
            let mut bytes = frames[round % 2].clone();
            for _ in 0..=random(&mut state) % 3 {
                let at = random(&mut state) % bytes.len();
                match random(&mut state) % 4 {
                    0 => bytes[at] ^= 1 << (random(&mut state) % 8),
                    1 => bytes[at] = random(&mut state) as u8,
                    // The length says how much comes: neither less nor more is waited for.
                    2 => bytes.truncate(at + 1),
                    _ => bytes.insert(at, 0xff),
                }
            }
            let mut from = bytes.as_slice();
            match read::<Request>(&mut from) {
                Ok(request) => {
                    read_on += 1;
                    let again = encode(&request).unwrap();
                    assert_eq!(read::<Request>(&mut again.as_slice()).unwrap(), request);
                }
                Err(_) => refused += 1,
            }
        }
        if rounds >= 20_000 {
            assert!(read_on > 100 && refused > 100, "{read_on}, {refused}");
        }
    }
}
