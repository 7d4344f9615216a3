//! How what is `#[non_exhaustive]` and may get more fields is put together outside of this crate.

/// A setter a field: `Options::default().with_rate(rate)`.
macro_rules! setters {
    ($type:ty { $($with:ident: $field:ident: $of:ty),+ $(,)? }) => {
        /// The same with another value of one field.
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
