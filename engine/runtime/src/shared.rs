//! The shared region: one memory-mapped file that holds the shared structs of a host.
//!
//! What a shared struct is, is said in [`engine_api::shared`]. The host writes to plain memory; the
//! kernel has every byte of it, so a crash of the host loses nothing, and another process can
//! [`read`] the file then. (A crash of the machine may lose what was not on disk yet.)
//!
//! | module | holds |
//! |---|---|
//! | `shared` | [`SharedRegion`]: adopting, growing, undoing; [`read`] |
//! | `format` | the directory as bytes, and back without trusting them |
//! | `mapping` | reserved addresses and the file mapped there |
//!
//! # The file
//!
//! Numbers are in the machine's own order. All places are bytes from the beginning of the file.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 8 | `LIVESHRD` |
//! | 8 | 4 | version of this format, 1 |
//! | 12 | 4 | zero |
//! | 16 | 48 | first head |
//! | 64 | 48 | second head |
//! | 128 | | data: structs and directories, each at a multiple of 64 |
//!
//! A head is six `u64`: sequence, end of what is used, place of the directory, its length, its
//! checksum, checksum of the five before (FNV-1a, 64 bits). The head with the higher sequence is
//! the current one; the other is that of the directory before. A new directory is written behind
//! everything else and its head replaces the older one, so whenever the host dies, one head with
//! all that it leads to is whole.
//!
//! A directory lists the structs: name, version, size, alignment, place, fields with their names,
//! types and places, all the way down. Values have no checksum: they change at any time.
//!
//! # Growth
//!
//! 256 MiB of addresses are reserved when a region is opened; the file is mapped into them, 64 KiB
//! at a time, as it grows, and its blocks are allocated first where the system can (Linux), so a
//! full disk is an error and not a signal. What is mapped never moves. A struct that gets more fields
//! gets a new place, with what it had; the old place stays as it was. Nobody holds the
//! address of a struct over frames: systems ask the world's [`SharedRegions`] at each run.
//!
//! # Threads
//!
//! A region belongs to the frame thread. Changes take `&mut World`, so no system holds a reference
//! into it meanwhile. Only one world at a time has access.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{Ordering, compiler_fence};

use engine_api::bevy_ecs::world::World;
use engine_api::shared::{
    ALIGN, FieldKind, SharedLayout, SharedRegions, SharedRegistration, fits, is_older_version,
};

use format::{DATA, Directory, Entry, Head};
use mapping::Mapping;

mod format;
mod mapping;
#[cfg(test)]
mod tests;

/// Addresses that are reserved for a region, in bytes: the largest that it can become.
pub const CAPACITY: usize = 256 << 20;
/// How much a file grows at a time, in bytes; a multiple of every usual page size.
const CHUNK: usize = 64 << 10;

/// Why something with a shared region did not work.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// The system refused.
    #[error("shared region `{}`: {action}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another host has it.
    #[error("shared region `{}` is in use by another process; give this host a path of its own", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The content makes no sense.
    #[error("shared region `{}` is damaged: {what}; remove the file to begin anew", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A struct does not fit what is there.
    #[error("{0}")]
    Misfit(String),
    /// Everything is in use.
    #[error(
        "the shared region is full: it needs {needed} bytes and can have {CAPACITY}; share less"
    )]
    Full {
        /// Bytes that would be needed.
        needed: usize,
    },
    /// A second world wants access.
    #[error("another world has access to the shared region; drop it, or move its `SharedRegions`")]
    Elsewhere,
    /// Something else was adopted meanwhile.
    #[error("shared structs were adopted after this; only the last adoption can be undone")]
    TooLate,
}

/// The shared region of a host.
pub struct SharedRegion {
    path: PathBuf,
    file: File,
    mapping: Arc<Mapping>,
    /// How much of the file is mapped, in bytes.
    mapped: usize,
    directory: Directory,
    /// Sequence of the current head.
    sequence: u64,
    /// Adoptions so far.
    adoptions: u64,
}

/// Takes an adoption back; see [`SharedRegion::undo`].
#[must_use = "keep it as long as the version may be refused"]
pub struct SharedUndo {
    directory: Directory,
    /// Which adoption it is.
    adoption: u64,
    /// All structs as they were: place and bytes.
    bytes: Vec<(usize, Vec<MaybeUninit<u8>>)>,
}

/// A shared struct as [`read`] finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedStruct {
    /// Path of the type.
    pub name: String,
    /// Number of its layout.
    pub version: u32,
    /// Name, type, and value as text, in order.
    pub fields: Vec<(String, String, String)>,
}

impl SharedRegion {
    /// Opens the region in the file at `path`, with all its structs, or makes an empty one there. The
    /// file is for this user only; its folder must exist.
    ///
    /// # Errors
    /// If the file cannot be made, is in use by another process, or is damaged.
    pub fn open_or_create(path: &Path) -> Result<Self, SharedError> {
        let failed = |action| move |source| io_error(path, action, source);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(failed("open"))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => SharedError::InUse {
                path: path.to_owned(),
            },
            TryLockError::Error(source) => io_error(path, "lock", source),
        })?;
        let length = file.metadata().map_err(failed("look at"))?.len();
        let (directory, sequence) = if length == 0 {
            (Directory::default(), 0)
        } else {
            let (directory, head) = decode(path)?;
            (directory, head.sequence)
        };
        let mapping = Mapping::reserve(CAPACITY).map_err(failed("reserve addresses for"))?;
        let mut region = Self {
            path: path.to_owned(),
            file,
            mapping: Arc::new(mapping),
            mapped: 0,
            directory,
            sequence,
            adoptions: 0,
        };
        region.ensure(region.directory.end)?;
        if length == 0 {
            let header = format::header();
            region.write(0, &header);
            region.commit(Directory::default())?;
        }
        Ok(region)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the structs of a version part of the region, all or none, and gives `world` access to
    /// the region. New structs begin with their `Default`; fields that are new begin with what the
    /// `Default` has there, the others keep their values. A struct of an earlier version (a lower
    /// number, with the first of the fields) is accepted as it is, so that a version can be rolled
    /// back.
    ///
    /// Call it before a version's systems are prepared, under a guard: `Default`s are code of the
    /// version. If one panics, nothing has changed. Cost: one copy of all shared values, for the undo.
    ///
    /// # Errors
    /// The struct that does not fit, and what to do; or why the file cannot grow. Nothing has
    /// changed then, and the world has the access it had.
    pub fn adopt(
        &mut self,
        world: &mut World,
        registrations: &[SharedRegistration],
    ) -> Result<SharedUndo, SharedError> {
        self.check_access(world)?;
        let mut next = self.directory.clone();
        let mut defaults: Vec<(usize, Vec<u8>)> = Vec::new();
        for SharedRegistration {
            layout,
            write_default,
            ..
        } in registrations
        {
            check_layout(layout)?;
            let known = next
                .entries
                .iter()
                .position(|entry| entry.layout.name == layout.name);
            if let Some(index) = known {
                let current = &mut next.entries[index].layout;
                if *current == *layout || is_older_version(current, layout) {
                    continue;
                }
                fits(current, layout).map_err(SharedError::Misfit)?;
                if current.fields.len() == layout.fields.len() {
                    *current = layout.clone();
                    continue;
                }
            }
            let mut value = vec![0; layout.size];
            // SAFETY: the vector has as many bytes as the layout says.
            unsafe { write_default(value.as_mut_ptr()) };
            let place = next.allocate(layout.size);
            if place.saturating_add(layout.size) > CAPACITY {
                return Err(SharedError::Full {
                    needed: place.saturating_add(layout.size),
                });
            }
            if let Some(index) = known {
                let entry = &mut next.entries[index];
                // What an earlier registration of this call brought lies in `defaults` still.
                let pending = defaults.iter().find(|(at, _)| *at == entry.place);
                for field in &entry.layout.fields {
                    let from = field.offset..field.offset + field.size;
                    match pending {
                        Some((_, old)) => value[from.clone()].copy_from_slice(&old[from]),
                        None => self.read_values(
                            &field.kind,
                            entry.place + field.offset,
                            &mut value[from],
                        ),
                    }
                }
                *entry = Entry {
                    layout: layout.clone(),
                    place,
                };
            } else {
                next.entries.push(Entry {
                    layout: layout.clone(),
                    place,
                });
            }
            defaults.push((place, value));
        }

        let bytes = self
            .directory
            .entries
            .iter()
            .map(|entry| (entry.place, self.copy(entry.place, entry.layout.size)));
        let bytes = bytes.collect();
        let before = self.directory.clone();
        if next != before {
            self.ensure(next.end)?;
            for (place, value) in defaults {
                self.write(place, &value);
            }
            self.commit(next)?;
        }
        self.publish(world);
        self.adoptions += 1;
        Ok(SharedUndo {
            directory: before,
            adoption: self.adoptions,
            bytes,
        })
    }

    /// Takes an adoption back, with all that was written to shared structs since: layouts and bytes
    /// are what they were, also those of other modules.
    ///
    /// # Errors
    /// If something else was adopted meanwhile, or the file cannot grow; nothing has changed then.
    pub fn undo(&mut self, world: &mut World, undo: SharedUndo) -> Result<(), SharedError> {
        self.check_access(world)?;
        if undo.adoption != self.adoptions {
            return Err(SharedError::TooLate);
        }
        if undo.directory != self.directory {
            // Behind what is used now: the current directory must stay whole until it is replaced.
            let mut directory = undo.directory;
            directory.end = directory.end.max(self.directory.end);
            self.commit(directory)?;
        }
        for (place, bytes) in &undo.bytes {
            self.write_raw(*place, bytes);
        }
        self.publish(world);
        Ok(())
    }

    /// Layouts of all structs in the region.
    pub fn layouts(&self) -> impl Iterator<Item = &SharedLayout> {
        self.directory.entries.iter().map(|entry| &entry.layout)
    }

    /// Whether a reference into the region can be held only through `world`, which is borrowed
    /// exclusively.
    fn check_access(&self, world: &World) -> Result<(), SharedError> {
        let own = world
            .get_resource::<SharedRegions>()
            .is_some_and(|regions| regions.is_owned_by(&self.mapping));
        if own || Arc::strong_count(&self.mapping) == 1 {
            Ok(())
        } else {
            Err(SharedError::Elsewhere)
        }
    }

    /// Gives `world` access to the structs as they lie now.
    fn publish(&self, world: &mut World) {
        let mut regions = SharedRegions::new(self.mapping.clone());
        for Entry { layout, place } in &self.directory.entries {
            let pointer = self.mapping.at(*place);
            // SAFETY: a directory that is in use lies within what is mapped, at multiples of 64 that
            // are initialised; the mapping is the owner; and this type writes only while it has
            // the one world with access exclusively (`check_access`).
            unsafe { regions.insert(&layout.name, pointer, layout.size) };
        }
        world.insert_resource(regions);
    }

    /// Makes the first `length` bytes of the region usable.
    fn ensure(&mut self, length: usize) -> Result<(), SharedError> {
        if length > CAPACITY {
            return Err(SharedError::Full { needed: length });
        }
        let length = length.next_multiple_of(CHUNK).min(CAPACITY);
        if length <= self.mapped {
            return Ok(());
        }
        mapping::grow(&self.file, length).map_err(|source| io_error(&self.path, "grow", source))?;
        self.mapping
            .map(&self.file, self.mapped, length)
            .map_err(|source| io_error(&self.path, "map", source))?;
        self.mapped = length;
        Ok(())
    }

    /// Writes a directory and makes it the current one.
    fn commit(&mut self, mut directory: Directory) -> Result<(), SharedError> {
        let encoded = format::encode(&directory.entries);
        let place = directory.allocate(encoded.len());
        self.ensure(directory.end)?;
        self.write(place, &encoded);
        let head = Head {
            sequence: self.sequence + 1,
            end: directory.end as u64,
            place: place as u64,
            length: encoded.len() as u64,
            checksum: format::checksum(&encoded),
        };
        // A crash between two writes must find the head only after what it leads to.
        compiler_fence(Ordering::SeqCst);
        self.write(head.position(), &head.bytes());
        compiler_fence(Ordering::SeqCst);
        self.sequence = head.sequence;
        self.directory = directory;
        Ok(())
    }

    fn write(&self, place: usize, bytes: &[u8]) {
        // SAFETY: initialised bytes are bytes that may be anything, too.
        let bytes = unsafe {
            std::slice::from_raw_parts(bytes.as_ptr().cast::<MaybeUninit<u8>>(), bytes.len())
        };
        self.write_raw(place, bytes);
    }

    fn write_raw(&self, place: usize, bytes: &[MaybeUninit<u8>]) {
        assert!(
            place + bytes.len() <= self.mapped,
            "a write behind the end of the shared region"
        );
        // SAFETY: that much is mapped; nobody holds a reference there (`check_access`), and the
        // bytes come from elsewhere.
        unsafe {
            let target = self.mapping.at(place).as_ptr().cast::<MaybeUninit<u8>>();
            target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    /// Bytes of the region, padding and all.
    fn copy(&self, place: usize, length: usize) -> Vec<MaybeUninit<u8>> {
        assert!(
            place + length <= self.mapped,
            "a read behind the end of the shared region"
        );
        let mut bytes = vec![MaybeUninit::uninit(); length];
        // SAFETY: that much is mapped; nobody writes meanwhile (`check_access`).
        unsafe {
            let source = self.mapping.at(place).as_ptr().cast::<MaybeUninit<u8>>();
            bytes.as_mut_ptr().copy_from_nonoverlapping(source, length);
        }
        bytes
    }

    /// Copies the numbers of a value out of the region, and not what lies between them.
    fn read_values(&self, kind: &FieldKind, place: usize, target: &mut [u8]) {
        match kind {
            FieldKind::Primitive(_) => {
                assert!(place + target.len() <= self.mapped, "a read behind the end");
                // SAFETY: that much is mapped, the bytes of a number are initialised, and
                // nobody writes meanwhile (`check_access`).
                unsafe {
                    let source = self.mapping.at(place).as_ptr();
                    target
                        .as_mut_ptr()
                        .copy_from_nonoverlapping(source, target.len());
                }
            }
            FieldKind::Array(element, count) => {
                let size = element.size().unwrap_or_default();
                if size == 0 {
                    return;
                }
                for (index, target) in target.chunks_exact_mut(size).take(*count).enumerate() {
                    self.read_values(element, place + index * size, target);
                }
            }
            FieldKind::Struct { fields, .. } => {
                for field in fields {
                    let target = &mut target[field.offset..field.offset + field.size];
                    self.read_values(&field.kind, place + field.offset, target);
                }
            }
        }
    }
}

/// Whether the region can hold a struct of that layout.
fn check_layout(layout: &SharedLayout) -> Result<(), SharedError> {
    let misfit =
        |what: &str| SharedError::Misfit(format!("shared struct `{}` {what}", layout.name));
    if layout.align > ALIGN {
        return Err(misfit(&format!(
            "is aligned to {} bytes; {ALIGN} is the most",
            layout.align
        )));
    }
    format::check(layout).map_err(|what| misfit(&format!("cannot be described: {what}")))
}

/// Reads the region at `path`, also of a host that runs or has crashed. Values that the host
/// writes at the moment may be half old and half new.
///
/// # Errors
/// If the file cannot be read, or is cut off or damaged.
pub fn read(path: &Path) -> Result<Vec<SharedStruct>, SharedError> {
    let bytes = read_file(path)?;
    let damaged = |what: String| SharedError::Damaged {
        path: path.to_owned(),
        what,
    };
    let (directory, _) = format::decode(&bytes).map_err(damaged)?;
    let structs = directory
        .entries
        .iter()
        .map(|Entry { layout, place }| SharedStruct {
            name: layout.name.clone(),
            version: layout.version,
            fields: layout
                .fields
                .iter()
                .map(|field| {
                    let at = place + field.offset;
                    let value = bytes.get(at..at + field.size).unwrap_or_default();
                    (
                        field.name.clone(),
                        field.type_name.clone(),
                        format::text(&field.kind, value),
                    )
                })
                .collect(),
        });
    Ok(structs.collect())
}

fn decode(path: &Path) -> Result<(Directory, Head), SharedError> {
    let bytes = read_file(path)?;
    format::decode(&bytes).map_err(|what| SharedError::Damaged {
        path: path.to_owned(),
        what,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, SharedError> {
    let failed = |source| io_error(path, "read", source);
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length < DATA as u64 || length > CAPACITY as u64 {
        return Err(SharedError::Damaged {
            path: path.to_owned(),
            what: format!("it has {length} bytes"),
        });
    }
    std::fs::read(path).map_err(failed)
}

fn io_error(path: &Path, action: &'static str, source: io::Error) -> SharedError {
    SharedError::Io {
        path: path.to_owned(),
        action,
        source,
    }
}
