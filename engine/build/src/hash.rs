//! The content hash of artifacts and sources: XXH64 by Yann Collet, seed 0.
//!
//! Written out here because it must be fast in unoptimised builds as well (it
//! runs over every artifact), where hashers built from generic code are not.

const PRIME_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME_5: u64 = 0x27D4_EB2F_1656_67C5;

fn round(lane: u64, value: u64) -> u64 {
    lane.wrapping_add(value.wrapping_mul(PRIME_2))
        .rotate_left(31)
        .wrapping_mul(PRIME_1)
}

fn merge(hash: u64, lane: u64) -> u64 {
    (hash ^ round(0, lane))
        .wrapping_mul(PRIME_1)
        .wrapping_add(PRIME_4)
}

/// 64-bit hash of a file's content, the same in every build and on every
/// platform (XXH64, seed 0).
///
/// ```
/// assert_eq!(engine_build::content_hash(b""), 0xEF46_DB37_51D8_E999);
/// ```
pub fn content_hash(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut hash = if blocks.is_empty() {
        PRIME_5
    } else {
        let mut a = PRIME_1.wrapping_add(PRIME_2);
        let mut b = PRIME_2;
        let mut c = 0u64;
        let mut d = 0u64.wrapping_sub(PRIME_1);
        for block in blocks {
            let (words, _) = block.as_chunks::<8>();
            a = round(a, u64::from_le_bytes(words[0]));
            b = round(b, u64::from_le_bytes(words[1]));
            c = round(c, u64::from_le_bytes(words[2]));
            d = round(d, u64::from_le_bytes(words[3]));
        }
        let mixed = a
            .rotate_left(1)
            .wrapping_add(b.rotate_left(7))
            .wrapping_add(c.rotate_left(12))
            .wrapping_add(d.rotate_left(18));
        [a, b, c, d].into_iter().fold(mixed, merge)
    };
    hash = hash.wrapping_add(bytes.len() as u64);

    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        hash = (hash ^ round(0, u64::from_le_bytes(*word)))
            .rotate_left(27)
            .wrapping_mul(PRIME_1)
            .wrapping_add(PRIME_4);
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for half in halves {
        let value = u64::from(u32::from_le_bytes(*half));
        hash = (hash ^ value.wrapping_mul(PRIME_1))
            .rotate_left(23)
            .wrapping_mul(PRIME_2)
            .wrapping_add(PRIME_3);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIME_5))
            .rotate_left(11)
            .wrapping_mul(PRIME_1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(PRIME_2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(PRIME_3);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_values_of_xxh64_are_met() {
        let cases: [(&[u8], u64); 4] = [
            (b"", 0xEF46_DB37_51D8_E999),
            (b"a", 0xD24E_C4F1_A98C_6E5B),
            (b"abc", 0x44BC_2CF5_AD77_0999),
            (
                b"Nobody inspects the spammish repetition",
                0xFBCE_A83C_8A37_8BF1,
            ),
        ];
        for (bytes, hash) in cases {
            assert_eq!(content_hash(bytes), hash, "{bytes:?}");
        }
    }
}
