//! Functions that are found by their path in every version.

/// Whether the name of a type (`std::any::type_name`) is the path of a function: the same in
/// every version and of no other. Those of closures are shared by all closures of a function,
/// those of function pointers name none.
pub(crate) fn is_of_function(type_name: &str) -> bool {
    !type_name.contains("{{closure}}") && !type_name.contains("fn(")
}
