//! Which files are an editor's own business.
//!
//! Names from the manuals of Vim (`.swp`, `.swx`, `4913`, `*~`), Emacs (`.#*`,
//! `#*#`), GLib programs (`.goutputstream-*`), Kate (`.kate-swp`) and JetBrains
//! (`___jb_tmp___`, `___jb_old___`).

use std::ffi::OsStr;

/// Whether a file of this name is temporary and never a source.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.is_empty()
        || bytes.starts_with(b".")
        || bytes == b"4913"
        || bytes.ends_with(b"~")
        || bytes.starts_with(b"#")
        || has_extension(
            bytes,
            &[
                b"swp", b"swx", b"swo", b"tmp", b"temp", b"bak", b"orig", b"rej",
            ],
        )
        // GNU sed's `sedXXXXXX`.
        || (bytes.len() == 9 && bytes.starts_with(b"sed") && !bytes.contains(&b'.'))
        || bytes.ends_with(b"___jb_tmp___")
        || bytes.ends_with(b"___jb_old___")
}

fn has_extension(name: &[u8], extensions: &[&[u8]]) -> bool {
    name.iter()
        .rposition(|byte| *byte == b'.')
        .is_some_and(|dot| extensions.contains(&&name[dot + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_editors_are_told_from_sources() {
        let temporary = [
            ".lib.rs.swp",
            ".lib.rs.swx",
            "4913",
            "sedQx3aZ1",
            "lib.rs~",
            ".#lib.rs",
            "#lib.rs#",
            ".goutputstream-QX2ZP1",
            "lib.rs.tmp",
            "tmp.lib.rs.orig",
            ".hidden",
            "lib.rs___jb_tmp___",
        ];
        let sources = [
            "lib.rs",
            "mod.rs",
            "Cargo.toml",
            "Cargo.lock",
            "level.ron",
            "491",
            "tmp.rs",
        ];
        for name in temporary {
            assert!(is_temporary(OsStr::new(name)), "{name}");
        }
        for name in sources {
            assert!(!is_temporary(OsStr::new(name)), "{name}");
        }
    }
}
