//! Setters for structs that are `#[non_exhaustive]`, which code outside of this crate cannot build from their fields.

/// Makes a setter for each field: `Options::default().with_rate(rate)`.
macro_rules! setters {
    ($type:ty { $($with:ident: $field:ident: $of:ty),+ $(,)? }) => {
        /// Each method returns the value with one field changed.
        impl $type {
            $(
                #[doc = concat!("With another [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $with(self, $field: $of) -> Self {
                    Self { $field, ..self }
                }
            )+
        }
    };
}

pub(crate) use setters;
