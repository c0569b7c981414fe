//! Renames that are taken back: the old type says that its field was called otherwise, and
//! the new one calls it that again.

use engine_api::schema::{FieldSchema, Shape};

use crate::data::Data;

/// The old field that a new one was renamed to before; `None` if the old type has a field of
/// the new one's name, or the renamed one is still there.
pub(super) fn undone<'o>(
    new: &FieldSchema,
    old_fields: &'o [FieldSchema],
    new_fields: &[FieldSchema],
) -> Option<&'o FieldSchema> {
    if old_fields.iter().any(|old| old.name == new.name) {
        return None;
    }
    old_fields.iter().find(|old| {
        let stays = new_fields
            .iter()
            .any(|field| field.name == old.name || field.renamed_from.0.contains(&old.name));
        !stays && old.renamed_from.0.contains(&new.name)
    })
}

/// Gives the parts of old data the names that the new type has for them, through structs.
pub(crate) fn undo(data: &mut Data, old: &Shape, new: &Shape) {
    let (
        Data::Struct(parts),
        Shape::Struct {
            fields: old_fields, ..
        },
        Shape::Struct {
            fields: new_fields, ..
        },
    ) = (data, old, new)
    else {
        return;
    };
    for field in new_fields {
        let before = undone(field, old_fields, new_fields)
            .or_else(|| old_fields.iter().find(|old| old.name == field.name));
        let Some(before) = before else {
            continue;
        };
        if let Some((name, part)) = parts.iter_mut().find(|(name, _)| *name == before.name) {
            undo(part, &before.shape, &field.shape);
            name.clone_from(&field.name);
        }
    }
}
