/// The built-in contracts: each one's name and definition (JSON).
///
/// Source: SPEC.md section 8.
pub const BUILTIN_CONTRACTS: &[(&str, &str)] = &[
    ("learning", include_str!("../contracts/learning.json")),
    ("dao", include_str!("../contracts/dao.json")),
    (
        "course_management",
        include_str!("../contracts/course_management.json"),
    ),
];
