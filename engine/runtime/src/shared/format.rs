//! The directory of a region as bytes, and back without trusting them.
//!
//! A directory is a count of structs, then each: name, version `u32`, size, alignment, place, and its
//! fields. Fields are a count, then each: name, type, offset, size, alignment, kind. A kind is a
//! byte, 0 to 63 for a number (its place in [`Primitive::ALL`]), 64 for an array (element, count),
//! 65 for a struct (name, size, fields). Counts, sizes and places are `u64`; text is its length as
//! `u32` and UTF-8.

use engine_api::shared::{ALIGN, FieldKind, Primitive, SharedLayout, SharedLayoutField};

const MAGIC: [u8; 8] = *b"LIVESHRD";
const FORMAT: u32 = 1;
/// Where data begins.
pub(super) const DATA: usize = 128;
/// Where the two heads are.
const HEADS: [usize; 2] = [16, 64];
const HEAD: usize = 48;
const ARRAY: u8 = 64;
const STRUCT: u8 = 65;
/// How deep arrays and structs may lie in each other.
const DEPTH: usize = 16;
/// How many elements of an array are shown.
const SHOWN: usize = 16;

/// The structs of a region, and how much of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) entries: Vec<Entry>,
    pub(super) end: usize,
}

/// A struct and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) layout: SharedLayout,
    pub(super) place: usize,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            end: DATA,
        }
    }
}

impl Directory {
    /// Takes room for so many bytes.
    pub(super) fn allocate(&mut self, length: usize) -> usize {
        let place = self.end.next_multiple_of(ALIGN);
        self.end = place.saturating_add(length);
        place
    }
}

/// Leads to a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sequence: u64,
    pub(super) end: u64,
    pub(super) place: u64,
    pub(super) length: u64,
    pub(super) checksum: u64,
}

impl Head {
    /// Where it is written: the two take turns.
    pub(super) fn position(&self) -> usize {
        HEADS[(self.sequence % 2) as usize]
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let numbers = [
            self.sequence,
            self.end,
            self.place,
            self.length,
            self.checksum,
        ];
        let mut bytes: Vec<u8> = numbers.into_iter().flat_map(u64::to_ne_bytes).collect();
        bytes.extend(checksum(&bytes).to_ne_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, sum) = bytes.split_at_checked(HEAD - 8)?;
        if checksum(numbers).to_ne_bytes() != sum {
            return None;
        }
        let mut reader = Reader { bytes: numbers };
        Some(Self {
            sequence: reader.u64().ok()?,
            end: reader.u64().ok()?,
            place: reader.u64().ok()?,
            length: reader.u64().ok()?,
            checksum: reader.u64().ok()?,
        })
    }
}

/// What stands at the beginning of a file.
pub(super) fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_ne_bytes());
    bytes.resize(DATA, 0);
    bytes
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The directory's bytes.
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    number(&mut bytes, entries.len());
    for Entry { layout, place } in entries {
        text_bytes(&mut bytes, &layout.name);
        bytes.extend(layout.version.to_ne_bytes());
        number(&mut bytes, layout.size);
        number(&mut bytes, layout.align);
        number(&mut bytes, *place);
        fields_bytes(&mut bytes, &layout.fields);
    }
    bytes
}

fn number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend((number as u64).to_ne_bytes());
}

fn text_bytes(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u32).to_ne_bytes());
    bytes.extend(text.as_bytes());
}

fn fields_bytes(bytes: &mut Vec<u8>, fields: &[SharedLayoutField]) {
    number(bytes, fields.len());
    for field in fields {
        text_bytes(bytes, &field.name);
        text_bytes(bytes, &field.type_name);
        number(bytes, field.offset);
        number(bytes, field.size);
        number(bytes, field.align);
        kind_bytes(bytes, &field.kind);
    }
}

fn kind_bytes(bytes: &mut Vec<u8>, kind: &FieldKind) {
    match kind {
        FieldKind::Primitive(primitive) => {
            let place = Primitive::ALL.iter().position(|other| other == primitive);
            bytes.push(place.unwrap_or_default() as u8);
        }
        FieldKind::Array(element, count) => {
            bytes.push(ARRAY);
            kind_bytes(bytes, element);
            number(bytes, *count);
        }
        FieldKind::Struct { name, size, fields } => {
            bytes.push(STRUCT);
            text_bytes(bytes, name);
            number(bytes, *size);
            fields_bytes(bytes, fields);
        }
    }
}

/// Reads the current directory out of a whole file.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode(file: &[u8]) -> Result<(Directory, Head), String> {
    let (magic, rest) = file
        .split_at_checked(MAGIC.len())
        .ok_or("it is too short")?;
    if magic != MAGIC {
        return Err("it is no shared region".to_owned());
    }
    let format = Reader { bytes: rest }.u32()?;
    if format != FORMAT {
        return Err(format!("it has format {format}, and {FORMAT} is known"));
    }
    let head = HEADS
        .into_iter()
        .filter_map(|at| file.get(at..at + HEAD))
        .filter_map(Head::decode)
        .max_by_key(|head| head.sequence)
        .ok_or("neither of its heads is whole")?;
    let outside = "it is cut off";
    let end = usize::try_from(head.end).map_err(|_| outside)?;
    let place = usize::try_from(head.place).map_err(|_| outside)?;
    let length = usize::try_from(head.length).map_err(|_| outside)?;
    let directory_end = place.checked_add(length).ok_or(outside)?;
    if end > file.len() || directory_end > end || place < DATA {
        return Err(outside.to_owned());
    }
    let bytes = file.get(place..directory_end).ok_or(outside)?;
    if checksum(bytes) != head.checksum {
        return Err("its directory is not what was written".to_owned());
    }
    let mut reader = Reader { bytes };
    let mut entries = Vec::new();
    for _ in 0..reader.u64()? {
        let layout = SharedLayout {
            name: reader.text()?,
            version: reader.u32()?,
            size: reader.number()?,
            align: reader.number()?,
            fields: Vec::new(),
        };
        let place = reader.number()?;
        let fields = reader.fields(0)?;
        let layout = SharedLayout { fields, ..layout };
        check(&layout)?;
        let inside = place.checked_add(layout.size).is_some_and(|to| to <= end);
        if !inside || place < DATA || !place.is_multiple_of(ALIGN) {
            return Err(format!("`{}` is not inside of it", layout.name));
        }
        entries.push(Entry { layout, place });
    }
    Ok((Directory { entries, end }, head))
}

/// Whether a layout makes sense.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(layout: &SharedLayout) -> Result<(), String> {
    if layout.align > ALIGN {
        return Err(format!("`{}` has too large an alignment", layout.name));
    }
    check_fields(&layout.fields, layout.size, 0)
}

fn check_fields(fields: &[SharedLayoutField], size: usize, depth: usize) -> Result<(), String> {
    let mut from = 0;
    for field in fields {
        let end = field.offset.checked_add(field.size);
        let inside = field.offset >= from && end.is_some_and(|end| end <= size);
        if !inside || field.kind.size() != Some(field.size) {
            return Err(format!(
                "field `{}` is not inside of its struct",
                field.name
            ));
        }
        from = field.offset + field.size;
        check_kind(&field.kind, depth)?;
    }
    Ok(())
}

fn check_kind(kind: &FieldKind, depth: usize) -> Result<(), String> {
    if depth >= DEPTH {
        return Err(format!("types lie more than {DEPTH} deep in each other"));
    }
    match kind {
        FieldKind::Primitive(_) => Ok(()),
        FieldKind::Array(element, _) => check_kind(element, depth + 1),
        FieldKind::Struct { size, fields, .. } => check_fields(fields, *size, depth + 1),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or("its directory ends too early")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?
            .try_into()
            .map_err(|_| "its directory ends too early".to_owned())
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_ne_bytes)
    }

    fn number(&mut self) -> Result<usize, String> {
        usize::try_from(self.u64()?).map_err(|_| "a number is too large".to_owned())
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.u32()? as usize;
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).map_err(|_| "a name is no text".to_owned())
    }

    fn fields(&mut self, depth: usize) -> Result<Vec<SharedLayoutField>, String> {
        // No capacity from a number that nobody checked.
        let mut fields = Vec::new();
        for _ in 0..self.u64()? {
            fields.push(SharedLayoutField {
                name: self.text()?,
                type_name: self.text()?,
                offset: self.number()?,
                size: self.number()?,
                align: self.number()?,
                kind: self.kind(depth)?,
            });
        }
        Ok(fields)
    }

    fn kind(&mut self, depth: usize) -> Result<FieldKind, String> {
        if depth >= DEPTH {
            return Err(format!("types lie more than {DEPTH} deep in each other"));
        }
        let [tag] = self.array()?;
        match tag {
            ARRAY => {
                let element = self.kind(depth + 1)?;
                Ok(FieldKind::Array(Box::new(element), self.number()?))
            }
            STRUCT => Ok(FieldKind::Struct {
                name: self.text()?,
                size: self.number()?,
                fields: self.fields(depth + 1)?,
            }),
            number => Primitive::ALL
                .get(usize::from(number))
                .map(|primitive| FieldKind::Primitive(*primitive))
                .ok_or_else(|| format!("there is no type {number}")),
        }
    }
}

/// A value as text: `1.5`, `[1, 2]`, `{x: 1, y: 2}`.
pub(super) fn text(kind: &FieldKind, bytes: &[u8]) -> String {
    match kind {
        FieldKind::Primitive(primitive) => primitive.text(bytes).unwrap_or_else(|| "?".to_owned()),
        FieldKind::Array(element, count) => {
            let size = element.size().unwrap_or_default();
            // What has no bytes may claim any number of elements.
            if size == 0 {
                return "[]".to_owned();
            }
            let mut values: Vec<_> = (0..(*count).min(SHOWN))
                .map(|index| {
                    let at = index.saturating_mul(size);
                    let value = bytes.get(at..at.saturating_add(size));
                    text(element, value.unwrap_or_default())
                })
                .collect();
            if *count > SHOWN {
                values.push(format!("... {count} in all"));
            }
            format!("[{}]", values.join(", "))
        }
        FieldKind::Struct { fields, .. } => {
            let values: Vec<_> = fields
                .iter()
                .map(|field| {
                    let value = bytes.get(field.offset..field.offset.saturating_add(field.size));
                    format!(
                        "{}: {}",
                        field.name,
                        text(&field.kind, value.unwrap_or_default())
                    )
                })
                .collect();
            format!("{{{}}}", values.join(", "))
        }
    }
}
