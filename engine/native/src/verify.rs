//! Is this file a module that fits this engine? Answered from its bytes, before the
//! system's loader, which trusts what it opens, gets to see it.

use engine_api::abi::{AbiToken, MAGIC, TOKEN_SIZE, entry_symbol};
use engine_runtime::backend::LoadError;
use object::read::{File, Object, ObjectSegment, ObjectSymbol};

/// What a person types to get artifacts that fit.
pub const BUILD_COMMAND: &str = "cargo build -p engine -p game_logic";

/// Checks that `bytes` are a complete library for this machine which exports module
/// `name`, built against the same shared crates as this engine.
///
/// # Errors
/// [`LoadError::Unusable`] for what is no library or no module,
/// [`LoadError::Misfit`] for a module of another build. The text says what to do.
pub fn verify(bytes: &[u8], name: &str) -> Result<(), LoadError> {
    let unusable = |what: String| LoadError::Unusable(format!("{what}; build it again"));
    if bytes.is_empty() {
        return Err(unusable("the artifact is empty".to_owned()));
    }
    let file = File::parse(bytes)
        .map_err(|error| unusable(format!("the artifact is no library ({error})")))?;
    if file.architecture() != native_architecture() {
        return Err(LoadError::Misfit(format!(
            "the artifact was built for {:?}, this machine is {:?}; {}",
            file.architecture(),
            native_architecture(),
            advice()
        )));
    }
    for segment in file.segments() {
        let (offset, size) = segment.file_range();
        let end = offset.checked_add(size);
        if end.is_none_or(|end| end > bytes.len() as u64) {
            return Err(unusable(format!(
                "the artifact is cut off: it has {} bytes and needs at least {}",
                bytes.len(),
                end.unwrap_or(u64::MAX)
            )));
        }
    }
    if let Some(needed) = end_of_section_table(bytes)
        && needed > bytes.len() as u64
    {
        return Err(unusable(format!(
            "the artifact is cut off: it has {} bytes and needs at least {needed}",
            bytes.len()
        )));
    }
    let symbol = entry_symbol(name);
    let mut others = Vec::new();
    let entry = file
        .dynamic_symbols()
        .chain(file.symbols())
        .find(|candidate| {
            let Ok(candidate) = candidate.name() else {
                return false;
            };
            // Mach-O puts an underscore before every symbol.
            let candidate = candidate.strip_prefix('_').unwrap_or(candidate);
            if let Some(other) = candidate.strip_prefix("liveloop_module_") {
                others.push(other.to_owned());
            }
            candidate == symbol
        });
    let Some(entry) = entry.filter(|entry| !entry.is_undefined()) else {
        others.sort();
        others.dedup();
        let found = if others.is_empty() {
            "no module at all".to_owned()
        } else {
            format!("module {}", others.join(", "))
        };
        return Err(LoadError::Unusable(format!(
            "the artifact has {found}, not `{name}`; mark a function `pub fn {name}(m: &mut \
             ModuleBuilder)` with #[module]"
        )));
    };
    let token = file
        .segments()
        .find_map(|segment| {
            segment
                .data_range(entry.address(), TOKEN_SIZE as u64)
                .ok()
                .flatten()
        })
        .ok_or_else(|| unusable("the artifact's entry points outside of it".to_owned()))?;
    if token[..MAGIC.len()] != MAGIC {
        return Err(unusable(format!(
            "the artifact's entry `{symbol}` is not a Liveloop module"
        )));
    }
    if token != AbiToken::CURRENT.bytes() {
        return Err(LoadError::Misfit(format!(
            "the artifact was built with another compiler, other features or other engine sources \
             than the running engine ({}); {}",
            engine_api::abi::RUSTC,
            advice()
        )));
    }
    Ok(())
}

/// What to do about an artifact of another build.
pub fn advice() -> String {
    format!(
        "build engine and module together (`{BUILD_COMMAND}`, or let the running engine do it), then \
         `inspector restart`, R in the inspector, goes on with both and with the game as it is"
    )
}

fn native_architecture() -> object::Architecture {
    if cfg!(target_arch = "x86_64") {
        object::Architecture::X86_64
    } else if cfg!(target_arch = "aarch64") {
        object::Architecture::Aarch64
    } else {
        object::Architecture::Unknown
    }
}

/// Where the section headers of a 64-bit ELF file end; they are the last thing in it.
/// Field offsets from the System V ABI (gABI 4, "ELF Header").
fn end_of_section_table(bytes: &[u8]) -> Option<u64> {
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let offset = u64::from_le_bytes(bytes.get(0x28..0x30)?.try_into().ok()?);
    let size = u16::from_le_bytes(bytes.get(0x3a..0x3c)?.try_into().ok()?);
    let count = u16::from_le_bytes(bytes.get(0x3c..0x3e)?.try_into().ok()?);
    offset.checked_add(u64::from(size) * u64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        verify(bytes, "game_logic").unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_library_is_refused_with_words() {
        assert!(refusal(b"").contains("empty"));
        assert!(refusal(b"not a library at all, just text").contains("no library"));
        assert!(refusal(&[0x7f; 4096]).contains("no library"));
    }

    #[test]
    fn this_test_binary_is_a_library_without_a_module_and_cut_ones_are_seen() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(
            refusal(&bytes).contains("no module at all"),
            "{}",
            refusal(&bytes)
        );
        for cut in [64, 4096, bytes.len() / 2, bytes.len() - 1] {
            let text = refusal(&bytes[..cut]);
            assert!(
                text.contains("cut off") || text.contains("no library"),
                "{cut}: {text}"
            );
        }
    }
}
