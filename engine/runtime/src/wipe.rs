//! Overwriting what functions left on the stack and in registers.
//!
//! A proof that nothing refers to old code leaves out what lies below the end of a stack. But
//! functions that are called later take that memory as it is, and a place of theirs that they
//! have not used yet holds what the ones before them left there. Registers for vectors, by which
//! memory is copied, keep what was copied last, for as long as a thread waits.

use std::mem::MaybeUninit;

/// How much is overwritten. Functions of the game that went deeper leave their words for a
/// while: until something else is called as deep.
const DEPTH: usize = 64 << 10;

/// Overwrites what lies below the caller's part of the stack. Costs about a microsecond.
#[inline(never)]
pub fn stack() {
    let mut dead = MaybeUninit::<[u8; DEPTH]>::uninit();
    // SAFETY: all of it lies in the local, for which all bytes are valid.
    unsafe { dead.as_mut_ptr().write_bytes(0, 1) };
    // As if somebody read it, so that it is really written.
    std::hint::black_box(dead.as_ptr());
    registers();
}

#[cfg(target_arch = "x86_64")]
fn registers() {
    use std::arch::asm;
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: sets registers to zero, which any call may change.
        unsafe {
            asm!(
                "vpxorq zmm16, zmm16, zmm16",
                "vpxorq zmm17, zmm17, zmm17",
                "vpxorq zmm18, zmm18, zmm18",
                "vpxorq zmm19, zmm19, zmm19",
                "vpxorq zmm20, zmm20, zmm20",
                "vpxorq zmm21, zmm21, zmm21",
                "vpxorq zmm22, zmm22, zmm22",
                "vpxorq zmm23, zmm23, zmm23",
                "vpxorq zmm24, zmm24, zmm24",
                "vpxorq zmm25, zmm25, zmm25",
                "vpxorq zmm26, zmm26, zmm26",
                "vpxorq zmm27, zmm27, zmm27",
                "vpxorq zmm28, zmm28, zmm28",
                "vpxorq zmm29, zmm29, zmm29",
                "vpxorq zmm30, zmm30, zmm30",
                "vpxorq zmm31, zmm31, zmm31",
                clobber_abi("C"),
                options(nomem, nostack)
            );
        }
    }
    if is_x86_feature_detected!("avx") {
        // SAFETY: as above.
        unsafe { asm!("vzeroall", clobber_abi("C"), options(nomem, nostack)) };
    } else {
        // SAFETY: as above; all processors of this kind have these.
        unsafe {
            asm!(
                "pxor xmm0, xmm0",
                "pxor xmm1, xmm1",
                "pxor xmm2, xmm2",
                "pxor xmm3, xmm3",
                "pxor xmm4, xmm4",
                "pxor xmm5, xmm5",
                "pxor xmm6, xmm6",
                "pxor xmm7, xmm7",
                "pxor xmm8, xmm8",
                "pxor xmm9, xmm9",
                "pxor xmm10, xmm10",
                "pxor xmm11, xmm11",
                "pxor xmm12, xmm12",
                "pxor xmm13, xmm13",
                "pxor xmm14, xmm14",
                "pxor xmm15, xmm15",
                clobber_abi("C"),
                options(nomem, nostack)
            );
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn registers() {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leaves a word on the stack and says where.
    #[inline(never)]
    fn leave(word: u64) -> usize {
        let local = std::hint::black_box([word; 16]);
        std::hint::black_box(&local).as_ptr().addr()
    }

    /// What lies there. Read through the system, since it is nobody's any more.
    fn at(address: usize) -> u64 {
        use std::os::unix::fs::FileExt as _;
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut word = [0; 8];
        memory.read_exact_at(&mut word, address as u64).unwrap();
        u64::from_ne_bytes(word)
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn registers_for_vectors_are_zero() {
        use std::arch::asm;
        let left: u64;
        // SAFETY: writes a register and reads it after the wiping, which is a call.
        unsafe {
            asm!("movq xmm9, {0}", in(reg) 0x0ddb_a115_u64, out("xmm9") _, options(nomem, nostack));
            stack();
            asm!("movq {0}, xmm9", out(reg) left, options(nomem, nostack));
        }
        assert_eq!(left, 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn nothing_is_left_below() {
        const WORD: u64 = 0x0ddb_a115_5eed_f00d;
        let address = leave(WORD);
        stack();
        assert_ne!(at(address), WORD);
    }
}
